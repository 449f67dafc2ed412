"""The reader that all line-based formats share: rows are one line or several, found in the bytes.

A row's position is the offset and the number of its first line.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import Chunks, Input
from saliency_cli.inputs.dialect import (
    DELIMITERS,
    UTF8,
    Dialect,
    as_utf8,
    decoding_problem,
    find_delimiter,
    find_encoding,
    separator_line,
)
from saliency_cli.inputs.formats.interface import ParsedRow, Wanted, no_rows_error
from saliency_cli.inputs.line_splitter import LineGroup, split_lines
from saliency_cli.records import RowPosition
from saliency_cli.safe_text import visible

SAMPLE_ROWS = 100
"""Rows looked at for the names of the columns (not every JSON object needs to have all of them)."""
FIRST_LINES = 1000
"""Lines in which the encoding is looked for, no more than `--limit` needs: a resumed run reads the
copy of a stream, which ends there, and must find the same."""
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
        group_lines: Groups lines into rows, given the delimiter, and drops blank ones. A row must
            follow from its own bytes and those after it, so that reading can start at any row.
        parse: Returns the values of a row, given the header.
        read_header: Returns the column names in the first row, given the input's name; None for a
            format without a header row. Raises UsageError if the header cannot be used.
        delimiter: The usual delimiter; None for a format that has none.
    """

    suffixes: tuple[str, ...]
    group_lines: Callable[[Iterator[LineGroup], str], Iterator[LineGroup]]
    parse: Callable[[LineGroup, Header], Parsed]
    read_header: Callable[[LineGroup, str], list[str]] | None = None
    delimiter: str | None = None

    def open(self, data: Input, wanted: Wanted) -> "LineReader":
        """Look at the first rows of an input and return a reader of all of its rows.

        Args:
            data: The open input.
            wanted: What was asked of it.

        Raises:
            UsageError: The input is not text, has no row or an unusable header, or a delimiter was
                given for a format that has none.
        """
        if self.delimiter is None and wanted.dialect.delimiter is not None:
            raise UsageError("--delimiter fits csv and tsv alone", "leave it out")
        return LineReader(data, self, wanted)


class LineReader:
    """A `RowReader` over the bytes of an input.

    Attributes:
        dialect: The encoding and the delimiter.
        notes: What was found and not asked for.
        columns: The names of the columns in the first `SAMPLE_ROWS` rows, in their order.
    """

    def __init__(self, data: Input, line_format: LineFormat, wanted: Wanted) -> None:
        self._data = data
        self._format = line_format
        self.dialect = Dialect(wanted.dialect.encoding or UTF8, line_format.delimiter)
        self.notes: list[str] = []
        self._header: Header = None
        self._rows_before = 0  # the first row of texts: the header, and Excel's line `sep=;`
        self._open_rows: Iterator[LineGroup] = iter(())
        self._next_ordinal: int | None = None  # of the first row in `_open_rows`
        self.columns = self._read_head(wanted)

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

    def _read_head(self, wanted: Wanted) -> list[str]:
        """Find the dialect in the first lines, and return the columns of the first rows."""
        chunks = self._data.read_head()
        _check_encoding(chunks, self._data.name)
        lines = split_lines(chunks, offset=0, line=1)
        if self._format.delimiter is not None:
            first_lines = [*islice(lines, min(FIRST_LINES, (wanted.limit or FIRST_LINES) + 1))]
            self._find_dialect(first_lines, wanted)
            lines = chain(first_lines, lines)
        rows = self._grouped(lines)
        in_header: dict[str, Any] = {}
        if self._format.read_header is not None:
            first = next(islice(rows, self._rows_before, None), None)
            self._rows_before += 1
            if first is None:
                raise no_rows_error(self._data.name)
            self._header = self._format.read_header(first, self._data.name)
            in_header, _problem = self._format.parse(first, self._header)
        sample = [self._parsed(row).values for row in islice(rows, SAMPLE_ROWS)]
        if not sample and not chunks.reached_limit:
            raise no_rows_error(self._data.name)
        return list(dict.fromkeys(column for values in (in_header, *sample) for column in values))

    def _find_dialect(self, lines: list[LineGroup], wanted: Wanted) -> None:
        """Set the dialect to what was asked for, else to what the first lines have."""
        asked, usual = wanted.dialect, self.dialect.delimiter or ""
        encoding = asked.encoding or find_encoding(lines)
        filled = (line for line in as_utf8(lines, encoding) if line.data.strip(b"\r\n"))
        header = next(filled, None)
        delimiter = None if header is None else separator_line(header)
        if delimiter is not None:
            self._rows_before = 1
        elif header is not None:
            delimiter = find_delimiter(header, usual=usual, column=wanted.column)
        delimiter = asked.delimiter or delimiter or usual
        self.dialect = Dialect(encoding, delimiter)
        if encoding not in {UTF8, asked.encoding}:
            self.notes.append("as Windows-1252")
        if delimiter not in {usual, asked.delimiter}:
            self.notes.append(f"separated by {DELIMITERS.get(delimiter, visible(delimiter))}")

    def _all_groups(self, spool: Path | None = None) -> Iterator[LineGroup]:
        """Return all rows without parsing them; those before the first text are left out."""
        rows = self._groups(self._data.read_all(spool), START)
        return islice(rows, self._rows_before, None)

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
        return self._grouped(split_lines(chunks, offset=position.offset, line=position.line))

    def _grouped(self, lines: Iterator[LineGroup]) -> Iterator[LineGroup]:
        encoding, delimiter = self.dialect
        return self._format.group_lines(as_utf8(lines, encoding or UTF8), delimiter or "")

    def _parsed(self, row: LineGroup) -> ParsedRow:
        problem = row.problem or decoding_problem(row.data, self.dialect.encoding or UTF8)
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
            f"{visible(name)} is UTF-16, in which rows cannot be found",
            "save it as UTF-8: iconv -f UTF-16 -t UTF-8 OLD > NEW",
        )


def first_duplicate(names: Iterable[str]) -> str | None:
    """Return the first name that also occurs earlier, or None."""
    earlier: set[str] = set()
    for name in names:
        if name in earlier:
            return name
        earlier.add(name)
    return None
