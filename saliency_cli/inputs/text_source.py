"""CSV, TSV or JSONL -> rows, from any place on, in memory that does not grow with the file.

Every row of the input comes out once: as a `Row` or, with its reason, as a `BadRow`. Only an input
that cannot be read at all, or that lacks the columns asked for, is an error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import STDIN, Chunks, Input, is_regular, open_input
from saliency_cli.inputs.line_splitter import Stretch, delimited, filled, split_lines
from saliency_cli.inputs.row_parser import build_row, first_twice, parse
from saliency_cli.records import BadRow, Row, RowPosition
from saliency_cli.safe_text import excerpt, listed, visible
from saliency_cli.settings import Columns, TextsChoice

SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
FORMATS: dict[str, str | None] = {"csv": ",", "tsv": "\t", "jsonl": None}
"""What parts the fields of a format; a line of JSONL has none."""
HEAD = 100
"""Rows looked at before a column is declared absent (JSON objects need not all have it)."""
COLUMNS_TOLD = 30
BEGINNING = RowPosition(0, 0, 1)
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Source:
    """An open input: its name and size for a person, its rows for the engine.

    A stream is read once: by `places`, which spools it, and then by `rows`; or by `all_rows`.
    """

    def __init__(self, data: Input, choice: TextsChoice) -> None:
        self.count: int | None = None
        self._input = data
        self._choice = choice
        self._unended = choice.limit is not None and not is_regular(choice.path)
        self._delimiter = FORMATS[_format(choice)]
        self._header: list[str] | None = None
        self._open: Iterator[Stretch] = iter(())
        self._reached: int | None = None
        self._check_head()

    @property
    def name(self) -> str:
        """The file's name, "-" for standard input."""
        return self._input.name

    @property
    def size(self) -> int | None:
        """Bytes on the disk, or None for a stream that is not spooled."""
        return self._input.size

    @property
    def seekable(self) -> bool:
        """Whether any place can be read: the input is a regular file, or spooled."""
        return self._input.seekable

    def sha256(self) -> str | None:
        """Return the hash of the whole input, or None for a stream that need not end."""
        return None if self._unended else self._input.sha256()

    def positions(self, every: int, *, spool: Path | None = None) -> Iterator[RowPosition]:
        """Read through the input; yield where every so many-th row begins, up to the limit.

        A stream is written to `spool` on the way, and its rows are then read from there. At the
        end `count` is the number of rows.

        Raises:
            UsageError: there is no row.
            OutputError: the spool cannot be written.
        """
        ordinal, row = -1, None
        for ordinal, row in enumerate(islice(self._through(spool), self._choice.limit)):
            if ordinal % every == 0:
                yield RowPosition(ordinal, row.offset, row.line)
        if row is None:
            raise _empty(self.name)
        self.count = ordinal + 1
        self.sha256()  # what is left of a stream that ends is spooled too
        self._input.sync()

    def rows(self, place: RowPosition, count: int) -> Iterator[Row | BadRow]:
        """Yield as many rows from a place on, fewer only at the end of the input."""
        for row in islice(self._from(place), count):
            self._reached = (self._reached or 0) + 1
            yield self._row(self._reached - 1, row)

    def all_rows(self) -> Iterator[Row | BadRow]:
        """Yield all rows up to the limit, reading a stream as it comes."""
        for ordinal, row in enumerate(islice(self._through(), self._choice.limit)):
            yield self._row(ordinal, row)

    def _row(self, ordinal: int, row: Stretch) -> Row | BadRow:
        return build_row(ordinal, row, parse(row, self._header), self._choice.columns)

    def _through(self, spool: Path | None = None) -> Iterator[Stretch]:
        """Return all rows of all bytes."""
        rows = self._stretches(self._input.whole(spool), BEGINNING)
        if self._header is not None:
            next(rows, None)
        return rows

    def _from(self, place: RowPosition) -> Iterator[Stretch]:
        """Return the rows from a place on; a packed input that is open before it is read on."""
        behind = None if self._reached is None else place.ordinal - self._reached
        if behind is None or behind < 0 or (behind > 0 and not self._input.packed):
            self._open = self._stretches(self._input.at(place.offset), place)
        elif behind > 0:
            next(islice(self._open, behind - 1, None), None)
        self._reached = place.ordinal
        return self._open

    def _stretches(self, chunks: Chunks, place: RowPosition) -> Iterator[Stretch]:
        lines = split_lines(chunks, offset=place.offset, line=place.line)
        if self._delimiter is None:
            return filled(lines)
        return delimited(lines, delimiter=self._delimiter)

    def _check_head(self) -> None:
        """Look at the first rows for the columns asked for.

        Raises:
            UsageError: the input is no text, holds no row, or lacks a column asked for.
        """
        chunks = self._input.head()
        _check_bytes(chunks, self.name)
        rows = self._stretches(chunks, BEGINNING)
        if self._delimiter is not None:
            self._header = _header(next(rows, None), self.name)
        head = [parse(row, self._header)[0] for row in islice(rows, HEAD)]
        if not head and not chunks.cut:
            raise _empty(self.name)
        _check_columns(head, columns=self._choice.columns, name=self.name)


@contextmanager
def open_texts(choice: TextsChoice, *, spooled: Path | None = None) -> Iterator[Source]:
    """Open the input, and look at its first rows for the columns asked for.

    With `spooled` its bytes are read from that file, which an earlier process wrote.

    Raises:
        UsageError: it is not there, is no text, holds no row, or lacks a column asked for.
    """
    _format(choice)
    with open_input(choice.path, spooled=spooled) as data:
        yield Source(data, choice)


def _format(choice: TextsChoice) -> str:
    if choice.format is not None:
        return choice.format
    if choice.path == STDIN:
        return "jsonl"
    suffix = Path(choice.path.removesuffix(".gz")).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    raise UsageError(
        f"{visible(choice.path)}: the suffix names no format",
        f"name the file {' '.join(SUFFIXES)}, each also .gz, or add --input-format",
    )


def _check_bytes(chunks: Chunks, name: str) -> None:
    start = chunks.peek()
    if chunks.broken is not None and not start:
        raise UsageError(f"{visible(name)} is no readable gzip file: {chunks.broken}")
    if start.startswith(UTF16_MARKS):
        raise UsageError(f"{visible(name)} is UTF-16, and only UTF-8 is read", "save it as UTF-8")


def _empty(name: str) -> UsageError:
    return UsageError(f"{visible(name)} holds no row", "give a file with at least one text")


def _header(row: Stretch | None, name: str) -> list[str]:
    if row is None:
        raise _empty(name)
    fields = row.fields
    if fields is None:
        raise UsageError(f"{visible(name)}: the header is not readable: {row.problem}")
    twice = first_twice(fields)
    if twice is not None:
        raise UsageError(f"{visible(name)}: the column '{excerpt(twice)}' stands twice")
    return fields


def _check_columns(head: Sequence[dict[str, Any]], *, columns: Columns, name: str) -> None:
    there = list(dict.fromkeys(key for values in head for key in values))
    if not there:
        return
    for column in (columns.text, columns.pair, columns.label, columns.id):
        if column is not None and column not in there:
            raise UsageError(
                f"{visible(name)} has no column '{visible(column)}'",
                "its columns are " + listed(there, most=COLUMNS_TOLD),
            )
