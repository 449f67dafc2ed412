"""Bytes -> physical lines -> the stretches that are rows, in bounded memory whatever they hold.

What a stretch is follows from its own bytes and those behind it, never from those before it: rows
read from any place are those that reading from the start finds there.
"""

import csv
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from saliency_cli.inputs.byte_source import Chunks

LINE_LIMIT = 8 << 20
"""Bytes that a line, and all lines of one row, may have, their ends counted."""
ROW_LINES = 10_000
"""Lines that a quoted field may go on for."""
SHOWN = 1024
"""Bytes that are kept of a line over the limit."""
BLANK = b" \t\r\n"
"""What a blank line may hold (RFC 8259, section 2)."""
MARK = b"\xef\xbb\xbf"
ENDS = b"\r\n"
UNCLOSED = "a quote is never closed"


class Stretch(NamedTuple):
    """A line of the input, or the lines of one row: where it begins, what it holds.

    `data` lacks a byte order mark, and all but the start of what is over the limit; `size` counts
    all bytes. `fields` are those of a row of CSV; a stretch with a `problem` is a bad row.
    """

    data: bytes
    offset: int
    line: int
    size: int
    fields: list[str] | None = None
    problem: str | None = None


class _Tail:
    """The beginning of a line whose end has not come yet."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > LINE_LIMIT:  # the start is enough to show
            piece, self._parts = b"".join([*self._parts, piece])[:SHOWN], []
        self._parts.append(piece)

    def take(self) -> tuple[bytes, int]:
        taken = b"".join(self._parts), self.size
        self._parts, self.size = [], 0
        return taken


def split_lines(chunks: Chunks, *, offset: int, line: int) -> Iterator[Stretch]:
    r"""Yield lines with their ends: `\n`, `\r\n` or `\r`, and no other character.

    `offset` and `line` are those of the first. Behind the last one of an input that breaks off
    comes the break, as a bad row in place of half a line.
    """
    tail = _Tail()
    for piece in _pieces(chunks):
        if piece[-1] not in ENDS:
            tail.add(piece)
            continue
        data, size = piece, len(piece)
        if tail.size:
            tail.add(piece)
            data, size = tail.take()
        yield _line(data, offset, line, size)
        offset += size
        line += 1
    data, size = tail.take()
    if chunks.broken is not None:
        problem = f"the input breaks off: {chunks.broken}"
        yield Stretch(b"", offset, line, size, problem=problem)
    elif size:
        yield _line(data, offset, line, size)


def _line(data: bytes, offset: int, line: int, size: int) -> Stretch:
    if offset == 0:
        data = data.removeprefix(MARK)
    if size > LINE_LIMIT:
        problem = f"the line is longer than {LINE_LIMIT >> 20} MiB"
        return Stretch(data[:SHOWN], offset, line, size, problem=problem)
    return Stretch(data, offset, line, size)


def _pieces(chunks: Chunks) -> Iterator[bytes]:
    r"""Yield what lies between the ends of lines and of chunks; `\r\n` is never parted."""
    held = b""
    while chunk := chunks.read():
        chunk = held + chunk
        held = b"\r" if chunk.endswith(b"\r") else b""
        yield from chunk.removesuffix(held).splitlines(keepends=True)
    if held:
        yield held


def filled(lines: Iterator[Stretch]) -> Iterator[Stretch]:
    """Yield the lines that are not blank: each is a row of JSONL."""
    for line in lines:
        if line.data.strip(BLANK) or line.problem is not None:
            yield line


def delimited(lines: Iterator[Stretch], *, delimiter: str) -> Iterator[Stretch]:
    """Yield rows of RFC 4180; a malformed quote costs the line that the row begins at, no other."""
    csv.field_size_limit(max(LINE_LIMIT, csv.field_size_limit()))
    feed = _Feed(lines, delimiter)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while (first := feed.begin()) is not None:
        if first.problem is not None:
            yield first
            continue
        try:
            fields = next(reader)
        except csv.Error as error:
            data, offset, line, size, *_ = first
            yield Stretch(data, offset, line, size, problem=f"malformed: {error}")
        else:
            if fields:
                yield feed.row(fields)


class _Feed:
    """The lines of one row for a csv.reader: more than the first only where they end it well.

    Whether a line that begins inside quotes also ends there is a matter of that line alone. So each
    line ahead is judged once, however many rows are begun before it, and a file of nothing but
    open quotes is read in a time that grows with its length.
    """

    def __init__(self, lines: Iterator[Stretch], delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._row: list[Stretch] = []
        self._given = 0
        self._ahead: deque[Stretch] = deque()
        self._open = 0  # so many lines ahead end inside quotes if they begin there
        self._judged: tuple[int, str | None] = (-1, None)  # the offset of the line behind those

    def begin(self) -> Stretch | None:
        """Start a row at the next line, and return that line, or None at the end."""
        self._row, self._given = [], 0
        first = self._next()
        if first is not None:
            self._row.append(first)
        return first

    def row(self, fields: list[str]) -> Stretch:
        """Return the row, all of whose lines were given."""
        first, *others = self._row
        if not others:
            return Stretch(first.data, first.offset, first.line, first.size, fields)
        data = b"".join(line.data for line in self._row)
        size = sum(line.size for line in self._row)
        return Stretch(data, first.offset, first.line, size, fields)

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if self._given:
            problem = self._unclosed()
            if problem is not None:
                raise csv.Error(problem)
            self._row.append(self._ahead[0])
            self._next()
        self._given += 1
        return _text(self._row[-1])

    def _next(self) -> Stretch | None:
        if not self._ahead:
            return next(self._lines, None)
        self._open = max(self._open - 1, 0)
        return self._ahead.popleft()

    def _unclosed(self) -> str | None:
        """Say why the row, which goes on behind its last line, does not end well; None if it does.

        The lines up to its end are ahead then.
        """
        first = self._row[0]
        while True:
            if self._open == len(self._ahead):
                line = next(self._lines, None)
                if line is None:
                    return UNCLOSED
                self._ahead.append(line)
            line = self._ahead[self._open]
            if line.offset + line.size - first.offset > LINE_LIMIT:
                return f"a quote is not closed within {LINE_LIMIT >> 20} MiB"
            if line.line - first.line >= ROW_LINES:
                return f"a quote is not closed within {ROW_LINES:,} lines"
            if line.problem is not None:
                return UNCLOSED
            if not self._goes_on(line):
                return self._judged[1]
            self._open += 1

    def _goes_on(self, line: Stretch) -> bool:
        """Say whether a line that begins inside quotes ends there; if not, judge how it ends."""
        if self._judged[0] == line.offset:
            return False
        reader = csv.reader(['"' + _text(line), '"'], delimiter=self._delimiter, strict=True)
        problem = None
        try:
            next(reader)
        except csv.Error as error:
            problem = str(error)
        if reader.line_num > 1:
            return True
        self._judged = line.offset, problem
        return False


def _text(line: Stretch) -> str:
    """Return a line's text; bytes that are no UTF-8 come through as lone surrogates (PEP 383)."""
    return line.data.decode("utf-8", "surrogateescape")
