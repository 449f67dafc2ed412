"""Bytes to lines, in bounded memory whatever the bytes are.

A line follows from its own bytes and those after it, never from those before it: reading from any
line start gives the same lines as reading from the start of the input.
"""

from collections.abc import Iterator
from typing import NamedTuple

from saliency_cli.inputs.byte_source import Chunks

LINE_LIMIT = 8 << 20
"""Maximum bytes of a line, and of all lines of one row, line ends included."""
KEPT_BYTES = 1024
"""Bytes kept of a line over the limit, for the excerpt in its record."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_ENDS = b"\r\n"


class LineGroup(NamedTuple):
    """One line of the input, or the consecutive lines of one row.

    Attributes:
        data: The bytes with their line ends, without a byte order mark; of a group over the limit
            only the first `KEPT_BYTES`.
        offset: The first byte's offset in the decompressed input.
        line: The first line's number, counted from 1.
        size: All bytes, including those that `data` lacks.
        fields: The fields of a delimited row, else None.
        problem: Why this is a bad row, else None.
    """

    data: bytes
    offset: int
    line: int
    size: int
    fields: list[str] | None = None
    problem: str | None = None

    @property
    def text(self) -> str:
        """The bytes as text; bytes that are not UTF-8 become lone surrogates (PEP 383)."""
        return self.data.decode("utf-8", "surrogateescape")


class _PartialLine:
    """The pieces of a line whose end was not read yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.size = 0

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > LINE_LIMIT:  # only an excerpt will be needed
            piece, self._pieces = b"".join([*self._pieces, piece])[:KEPT_BYTES], []
        self._pieces.append(piece)

    def take(self) -> tuple[bytes, int]:
        """Return the bytes kept and the number of bytes added, and become empty."""
        taken = b"".join(self._pieces), self.size
        self._pieces, self.size = [], 0
        return taken


def split_lines(chunks: Chunks, *, offset: int, line: int) -> Iterator[LineGroup]:
    r"""Yield lines with their ends: `\n`, `\r\n` or `\r`, and no other character.

    After a read error the incomplete last line is replaced by a bad row that names the error.

    Args:
        chunks: The bytes, beginning at the start of a line.
        offset: The first byte's offset in the decompressed input.
        line: The first line's number.
    """
    partial = _PartialLine()
    for piece in _pieces(chunks):
        if piece[-1] not in LINE_ENDS:
            partial.add(piece)
            continue
        data, size = piece, len(piece)
        if partial.size:
            partial.add(piece)
            data, size = partial.take()
        yield _line(data, offset, line, size)
        offset += size
        line += 1
    data, size = partial.take()
    if chunks.read_error is not None:
        problem = f"the input breaks off: {chunks.read_error}"
        yield LineGroup(b"", offset, line, size, problem=problem)
    elif size:
        yield _line(data, offset, line, size)


def _line(data: bytes, offset: int, line: int, size: int) -> LineGroup:
    if offset == 0:
        data = data.removeprefix(BYTE_ORDER_MARK)
    if size > LINE_LIMIT:
        problem = f"the line is longer than {LINE_LIMIT >> 20} MiB"
        return LineGroup(data[:KEPT_BYTES], offset, line, size, problem=problem)
    return LineGroup(data, offset, line, size)


def _pieces(chunks: Chunks) -> Iterator[bytes]:
    r"""Yield the chunks, split after every line end; `\r\n` is never split in two."""
    pending = b""
    while chunk := chunks.read():
        chunk = pending + chunk
        pending = b"\r" if chunk.endswith(b"\r") else b""
        yield from chunk.removesuffix(pending).splitlines(keepends=True)
    if pending:
        yield pending
