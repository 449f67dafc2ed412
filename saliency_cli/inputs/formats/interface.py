"""What a file format must provide: `Format` opens an input, `RowReader` reads its rows.

Nothing here assumes that a row is a range of bytes. A column format can use a position's ordinal
alone, count its rows without reading them, and seek in the file with `Input.cursor`.
"""

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import Input
from saliency_cli.inputs.dialect import Dialect
from saliency_cli.records import RowPosition
from saliency_cli.safe_text import visible


class ParsedRow(NamedTuple):
    """One row as its format reads it, before the columns are chosen.

    Attributes:
        line: Where a person finds the row: its first line, or its number, counted from 1.
        values: Column name to value, as JSON has it; empty if the row cannot be parsed.
        problem: Why the row cannot be parsed, or None.
        data: The bytes from which a bad row's excerpt is taken.
        size: Bytes of input that the row takes, for the progress display.
    """

    line: int
    values: dict[str, Any]
    problem: str | None
    data: bytes
    size: int


class Wanted(NamedTuple):
    """What was asked of an input.

    Attributes:
        dialect: The encoding and the delimiter, None where they are to be found.
        column: The column of the text.
        limit: Maximum number of rows that will be read, or None for all.
    """

    dialect: Dialect = Dialect()
    column: str = "text"
    limit: int | None = None


class RowReader(Protocol):
    """Reads the rows of one open input.

    A stream is read once from its start: by `positions`, which spools it and after which
    `rows_from` reads the spool, or by `all_rows`. A seekable input is read as often as needed.
    """

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns that the header or the first rows have; empty if unknown."""

    @property
    def dialect(self) -> Dialect:
        """The encoding and the delimiter that the rows are read in."""

    @property
    def notes(self) -> Sequence[str]:
        """What was found in the input and not asked for, as in "separated by ;"."""

    def positions(
        self, every: int, *, limit: int | None, spool: Path | None
    ) -> Generator[RowPosition, None, int]:
        """Yield the position of every `every`-th row, and return the number of rows.

        Args:
            every: Rows from one position to the next.
            limit: Maximum number of rows to count, or None for all.
            spool: A file to which a stream is written while it is read, or None.
        """

    def rows_from(self, position: RowPosition) -> Iterator[ParsedRow]:
        """Yield the rows from a position that `positions` yielded to the end of the input."""

    def all_rows(self) -> Iterator[ParsedRow]:
        """Yield all rows from the start; those of a stream are yielded while it arrives."""


class Format(Protocol):
    """One file format, an entry of `formats.FORMATS`."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The file name suffixes by which the format is recognised, in lower case."""

    def open(self, data: Input, wanted: Wanted) -> RowReader:
        """Look at the start of an input and return a reader of its rows.

        Args:
            data: The open input.
            wanted: What was asked of it.

        Raises:
            UsageError: The input is not of this format, has no row, or an option does not fit it.
        """


def no_rows_error(name: str) -> UsageError:
    """Return the error for an input without any row."""
    return UsageError(f"{visible(name)} holds no row", "give a file with at least one text")
