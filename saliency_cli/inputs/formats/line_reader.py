"""The reader that all line-based formats share: rows are one line or several, found in the bytes.

A row's position is the offset and the number of its first line.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import Chunks, Input
from saliency_cli.inputs.formats.interface import ParsedRow, no_rows_error
from saliency_cli.inputs.line_splitter import LineGroup, split_lines
from saliency_cli.records import RowPosition
from saliency_cli.safe_text import visible

SAMPLE_ROWS = 100
"""Rows looked at for the names of the columns (not every JSON object needs to have all of them)."""
START = RowPosition(0, 0, 1)
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

Header: TypeAlias = list[str] | None
Parsed: TypeAlias = tuple[dict[str, Any], str | None]
"""The values of a row by column and None, or no values and why the row cannot be parsed."""


@dataclass(frozen=True, slots=True)
class LineFormat:
    """A `Format` whose rows are lines, described by three functions.

    Attributes:
        suffixes: The file name suffixes by which it is recognised.
        group_lines: Groups lines into rows and drops blank ones. A row must follow from its own
            bytes and those after it, so that reading can start at any row.
        parse: Returns the values of a row, given the header.
        read_header: Returns the column names in the first row, given the input's name; None for a
            format without a header row. Raises UsageError if the header cannot be used.
    """

    suffixes: tuple[str, ...]
    group_lines: Callable[[Iterator[LineGroup]], Iterator[LineGroup]]
    parse: Callable[[LineGroup, Header], Parsed]
    read_header: Callable[[LineGroup, str], list[str]] | None = None

    def open(self, data: Input) -> "LineReader":
        """Look at the first rows of an input and return a reader of all of its rows.

        Raises:
            UsageError: The input is not text, has no row or an unusable header.
        """
        return LineReader(data, self)


class LineReader:
    """A `RowReader` over the bytes of an input.

    Attributes:
        columns: The names of the columns in the first `SAMPLE_ROWS` rows, in their order.
    """

    def __init__(self, data: Input, line_format: LineFormat) -> None:
        self._data = data
        self._format = line_format
        self._header: Header = None
        self._open_rows: Iterator[LineGroup] = iter(())
        self._next_ordinal: int | None = None  # of the first row in `_open_rows`
        self.columns = self._read_head()

    def positions(
        self, every: int, *, limit: int | None, spool: Path | None
    ) -> Generator[RowPosition, None, int]:
        """Yield the position of every `every`-th row, and return the number of rows.

        Args:
            every: Rows from one position to the next.
            limit: Maximum number of rows to count, or None for all.
            spool: A file to which a stream is written while it is read, or None.
        """
        count = 0
        for row in islice(self._all_groups(spool), limit):
            if count % every == 0:
                yield RowPosition(count, row.offset, row.line)
            count += 1
        return count

    def rows_from(self, position: RowPosition) -> Iterator[ParsedRow]:
        """Yield the rows from a position on."""
        self._go_to(position)
        ordinal = position.ordinal
        for row in self._open_rows:
            ordinal += 1
            self._next_ordinal = ordinal
            yield self._parsed(row)

    def all_rows(self) -> Iterator[ParsedRow]:
        """Yield all rows from the start."""
        return map(self._parsed, self._all_groups())

    def _read_head(self) -> list[str]:
        """Read the header and the first rows, and return the names of their columns."""
        chunks = self._data.read_head()
        _check_encoding(chunks, self._data.name)
        rows = self._groups(chunks, START)
        in_header: dict[str, Any] = {}
        if self._format.read_header is not None:
            first = next(rows, None)
            if first is None:
                raise no_rows_error(self._data.name)
            self._header = self._format.read_header(first, self._data.name)
            in_header, _problem = self._format.parse(first, self._header)
        sample = [self._parsed(row).values for row in islice(rows, SAMPLE_ROWS)]
        if not sample and not chunks.reached_limit:
            raise no_rows_error(self._data.name)
        return list(dict.fromkeys(column for values in (in_header, *sample) for column in values))

    def _all_groups(self, spool: Path | None = None) -> Iterator[LineGroup]:
        """Return all rows without parsing them; the header row is left out."""
        rows = self._groups(self._data.read_all(spool), START)
        if self._header is not None:
            next(rows, None)
        return rows

    def _go_to(self, position: RowPosition) -> None:
        """Let `_open_rows` begin at a position.

        A gzip file that is open at an earlier row is read on from there, since opening it again
        would decompress it from its start.
        """
        ahead = None if self._next_ordinal is None else position.ordinal - self._next_ordinal
        if ahead is None or ahead < 0 or (ahead > 0 and not self._data.gzipped):
            self._open_rows = self._groups(self._data.read_from(position.offset), position)
        elif ahead > 0:
            next(islice(self._open_rows, ahead - 1, None), None)
        self._next_ordinal = position.ordinal

    def _groups(self, chunks: Chunks, position: RowPosition) -> Iterator[LineGroup]:
        lines = split_lines(chunks, offset=position.offset, line=position.line)
        return self._format.group_lines(lines)

    def _parsed(self, row: LineGroup) -> ParsedRow:
        problem = row.problem or _decoding_problem(row.data)
        values: dict[str, Any] = {}
        if problem is None:
            values, problem = self._format.parse(row, self._header)
        return ParsedRow(row.line, values, problem, row.data, row.size)


def _check_encoding(chunks: Chunks, name: str) -> None:
    """Raise UsageError if the input is a damaged gzip file from its first byte on, or UTF-16."""
    start = chunks.peek()
    if chunks.read_error is not None and not start:
        raise UsageError(f"{visible(name)} is not a readable gzip file: {chunks.read_error}")
    if start.startswith(UTF16_MARKS):
        raise UsageError(
            f"{visible(name)} is UTF-16, but only UTF-8 is supported", "save it as UTF-8"
        )


def _decoding_problem(data: bytes) -> str | None:
    """Return where the bytes of a row are not UTF-8, or None if they are."""
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start + 1} of the row"
    return None


def first_duplicate(names: Iterable[str]) -> str | None:
    """Return the first name that also occurs earlier, or None."""
    earlier: set[str] = set()
    for name in names:
        if name in earlier:
            return name
        earlier.add(name)
    return None
