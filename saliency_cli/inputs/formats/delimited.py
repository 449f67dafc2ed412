"""CSV and TSV (RFC 4180): a header row, then rows whose fields a delimiter separates.

A malformed quote costs only the line on which its row begins; reading continues on the next line.
"""

import csv
from collections import deque
from collections.abc import Iterator

from saliency_cli.errors import UsageError
from saliency_cli.inputs.formats.line_reader import (
    Header,
    LineFormat,
    Parsed,
    first_duplicate,
)
from saliency_cli.inputs.line_splitter import LINE_LIMIT, LineGroup
from saliency_cli.safe_text import excerpt, visible

ROW_LINES = 10_000
"""Maximum number of lines that one row may have."""
UNCLOSED = "a quote is never closed"


def delimited_format(suffix: str, delimiter: str) -> LineFormat:
    """Return the format of delimited rows.

    Args:
        suffix: The file name suffix, with its dot.
        delimiter: The usual character between two fields.
    """
    return LineFormat((suffix,), group_rows, parse_fields, read_header, delimiter)


def read_header(row: LineGroup, name: str) -> list[str]:
    """Return the column names in the header row of the input called `name`.

    Args:
        row: The first row.
        name: The input's name, for the error message.

    Raises:
        UsageError: The row is malformed, names no column, or names one more than once.
    """
    if row.fields is None:
        raise UsageError(f"{visible(name)}: the header cannot be read: {row.problem}")
    if not any(map(str.strip, row.fields)):
        raise UsageError(
            f"{visible(name)}: the header names no column",
            "give the columns names in the first row",
        )
    duplicate = first_duplicate(filter(str.strip, row.fields))
    if duplicate is not None:
        raise UsageError(
            f"{visible(name)}: the column '{excerpt(duplicate)}' appears twice",
            "rename one of the two columns",
        )
    return row.fields


def parse_fields(row: LineGroup, header: Header) -> Parsed:
    """Return the fields by column, or no values and why there are too few or too many.

    Of several columns without a name none is returned.

    Args:
        row: A row with its fields.
        header: The column names.
    """
    fields, header = row.fields or [], header or []
    if len(fields) != len(header):
        return {}, f"{len(fields)} fields where the header has {len(header)}"
    values = dict(zip(header, fields, strict=True))
    if len(values) < len(header):
        values = {name: value for name, value in values.items() if name.strip()}
    return values, None


def group_rows(lines: Iterator[LineGroup], delimiter: str) -> Iterator[LineGroup]:
    """Yield rows with their fields, or with a problem if they are malformed.

    Args:
        lines: The lines of the input, from the start of a row on.
        delimiter: The one character between two fields.
    """
    csv.field_size_limit(max(LINE_LIMIT, csv.field_size_limit()))
    feed = _RowFeed(lines, delimiter)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while (first := feed.begin_row()) is not None:
        if first.problem is not None:
            yield first
            continue
        try:
            fields = next(reader)
        except csv.Error as error:
            yield first._replace(problem=f"malformed: {error}")
        else:
            if fields:
                yield feed.row(fields)


class _RowFeed:
    """The iterator from which csv.reader takes the lines of one row.

    It passes on a second line only if the quoted field that the first one leaves open is closed
    within the limits; otherwise it raises csv.Error, and only the first line is lost.

    Whether a line that starts inside quotes also ends inside them depends on that line alone. So
    each line is classified once, however many rows begin before it, and a file in which every line
    opens a quote is read in linear time.
    """

    def __init__(self, lines: Iterator[LineGroup], delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._row: list[LineGroup] = []
        self._lines_passed = 0  # of this row
        self._lookahead: deque[LineGroup] = deque()
        # So many lines of the lookahead end inside quotes if they start there.
        self._unclosed_count = 0
        # Offset of the line after those, which closes the quotes, and how its row is malformed.
        self._closing: tuple[int, str | None] = (-1, None)

    def begin_row(self) -> LineGroup | None:
        """Start a row at the next line, and return that line, or None at the end."""
        self._row, self._lines_passed = [], 0
        first = self._next_line()
        if first is not None:
            self._row.append(first)
        return first

    def row(self, fields: list[str]) -> LineGroup:
        """Return the row, whose lines csv.reader has all taken."""
        first, *others = self._row
        if not others:
            return LineGroup(first.data, first.offset, first.line, first.size, fields)
        data = b"".join(line.data for line in self._row)
        size = sum(line.size for line in self._row)
        return LineGroup(data, first.offset, first.line, size, fields)

    def __iter__(self) -> "_RowFeed":
        return self

    def __next__(self) -> str:
        if self._lines_passed:
            problem = self._quote_problem()
            if problem is not None:
                raise csv.Error(problem)
            self._row.append(self._lookahead[0])
            self._next_line()
        self._lines_passed += 1
        return self._row[-1].text

    def _next_line(self) -> LineGroup | None:
        if not self._lookahead:
            return next(self._lines, None)
        self._unclosed_count = max(self._unclosed_count - 1, 0)
        return self._lookahead.popleft()

    def _quote_problem(self) -> str | None:
        """Return why the quotes open at the end of the row are not closed well, or None.

        If they are, all lines up to the closing one are in the lookahead afterwards.
        """
        first = self._row[0]
        while True:
            if self._unclosed_count == len(self._lookahead):
                line = next(self._lines, None)
                if line is None:
                    return UNCLOSED
                self._lookahead.append(line)
            line = self._lookahead[self._unclosed_count]
            if line.offset + line.size - first.offset > LINE_LIMIT:
                return f"a quote is not closed within {LINE_LIMIT >> 20} MiB"
            if line.line - first.line >= ROW_LINES:
                return f"a quote is not closed within {ROW_LINES:,} lines"
            if line.problem is not None:
                return UNCLOSED
            if not self._stays_open(line):
                return self._closing[1]
            self._unclosed_count += 1

    def _stays_open(self, line: LineGroup) -> bool:
        """Whether a line that starts inside quotes ends inside them; if not, set `_closing`."""
        if self._closing[0] == line.offset:
            return False
        reader = csv.reader(['"' + line.text, '"'], delimiter=self._delimiter, strict=True)
        problem = None
        try:
            next(reader)
        except csv.Error as error:
            problem = str(error)
        if reader.line_num > 1:
            return True
        self._closing = line.offset, problem
        return False
