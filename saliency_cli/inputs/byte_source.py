"""A path or standard input -> its bytes, unpacked, counted and hashed as they pass.

Gzip is recognised by its first bytes, whatever the suffix. A regular file is read at any place and
any number of times; a stream once, and what it gave is kept in a spool to be read like a file.
"""

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_streams import START, Cursor, HashingReader, Spool, Stream
from saliency_cli.safe_text import visible

STDIN = "-"
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 18
"""Bytes unpacked at once. Always the same number: what zlib still gives of a gzip file that is
damaged depends on how much it is asked for, and a row must not depend on where reading began."""
HEAD_BYTES = 32 << 20
"""Bytes that are looked at before a run begins; a stream's are held until they are spooled."""


class Chunks:
    """The bytes of an input, unpacked, a chunk at a time; one that breaks ends there.

    What was read before is so not lost, and `broken` says why. Of a `head`, no more than that is
    read: `cut` says that there was more.
    """

    def __init__(self, raw: io.RawIOBase, *, packed: bool, head: int | None = None) -> None:
        buffered = io.BufferedReader(raw)
        self._below = gzip.GzipFile(fileobj=buffered) if packed else buffered
        self._head = head
        self._ahead = b""
        self.count = 0
        self.broken: str | None = None

    @property
    def cut(self) -> bool:
        """Whether all was read that may be."""
        return self._head is not None and self.count >= self._head

    def read(self) -> bytes:
        """Return the next bytes, or none at the end."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        if self.broken is not None or self.cut:
            return b""
        try:
            data = self._below.read1(CHUNK)
        except (OSError, EOFError, zlib.error) as error:
            self.broken = str(error)
            return b""
        self.count += len(data)
        return data

    def peek(self) -> bytes:
        """Return what the next call will give."""
        self._ahead = self.read()
        return self._ahead

    def skip_to(self, offset: int) -> None:
        """Leave out all that lies before `offset`."""
        while self.count < offset and (data := self.read()):
            if self.count > offset:
                self._ahead = data[offset - self.count :]


class Input:
    """The bytes of an input, read from their start or from any place, as often as is asked for."""

    def __init__(self, name: str, opened: "int | Stream") -> None:
        self.name = name
        self._stream = opened if isinstance(opened, Stream) else None
        self._descriptor = opened if isinstance(opened, int) else None
        self._tally: HashingReader | None = None
        self._spool: Spool | None = None
        start = opened.start if isinstance(opened, Stream) else os.pread(opened, START, 0)
        self.packed = start == GZIP_MAGIC

    @property
    def seekable(self) -> bool:
        """Whether any place of it can be read: it is a regular file, or is spooled by now."""
        return self._descriptor is not None

    @property
    def size(self) -> int | None:
        """Bytes on the disk, or None for a stream."""
        return None if self._descriptor is None else os.fstat(self._descriptor).st_size

    def head(self) -> Chunks:
        """Return its first bytes, which will be read again."""
        raw = HashingReader(self._stream or Cursor(self._known))
        return Chunks(raw, packed=self.packed, head=HEAD_BYTES)

    def whole(self, spool: Path | None = None) -> Chunks:
        """Return all of its bytes, which are hashed and, if told to, kept in a file on the way.

        A stream has them once; with a spool any place of it can then be read.

        Raises:
            OutputError: the spool cannot be written.
        """
        if self._stream is not None:
            self._stream.again()
        raw = self._stream or Cursor(self._known)
        if spool is not None:
            self._spool = Spool(spool)
            self._descriptor, self._stream = self._spool.descriptor, None
        self._tally = HashingReader(raw, self._spool)
        return Chunks(self._tally, packed=self.packed)

    def at(self, offset: int) -> Chunks:
        """Return its bytes from a place on; `offset` is counted in unpacked bytes."""
        chunks = Chunks(Cursor(self._known, 0 if self.packed else offset), packed=self.packed)
        if self.packed:
            chunks.skip_to(offset)
        return chunks

    @property
    def _known(self) -> int:
        if self._descriptor is None:
            raise RuntimeError("a stream has no places until it is spooled")
        return self._descriptor

    def sha256(self) -> str:
        """Return the hash of all of its bytes, packed as they are; they are read to the end.

        Raises:
            UsageError: they cannot be.
        """
        tally = self._tally or HashingReader(Cursor(self._known))
        try:
            return tally.hexdigest()
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def sync(self) -> None:
        """See that what was spooled is on the disk.

        Raises:
            OutputError: it is not.
        """
        if self._spool is not None:
            self._spool.sync()

    def close(self) -> None:
        """Close what was opened here."""
        if self._spool is not None:
            os.close(self._spool.descriptor)


@contextmanager
def open_input(path: str, *, spooled: Path | None = None) -> Iterator[Input]:
    """Open a file, or standard input for "-"; with `spooled`, the file that keeps its bytes.

    Raises:
        UsageError: it is not there, or may not be read.
    """
    name = STDIN if path == STDIN else Path(path).name
    with ExitStack() as stack:
        try:
            data = Input(name, _opened(path, spooled, stack))
        except OSError as error:
            raise _unreadable(str(spooled or path), error) from None
        stack.callback(data.close)
        yield data


def _opened(path: str, spooled: Path | None, stack: ExitStack) -> int | Stream:
    """Return a regular file's descriptor, or the stream that anything else is."""
    if path == STDIN and spooled is None:
        if sys.stdin is None:
            raise UsageError("standard input is closed", "give a file, or a pipe")
        return Stream(sys.stdin.buffer, most=HEAD_BYTES)
    stream = stack.enter_context((spooled or Path(path)).open("rb"))
    regular = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    return stream.fileno() if regular else Stream(stream, most=HEAD_BYTES)


def is_regular(path: str) -> bool:
    """Say whether a path names a regular file, and not standard input, a FIFO or a device."""
    return path != STDIN and Path(path).is_file()


def _unreadable(path: str, error: OSError) -> UsageError:
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{visible(path)}: there is no such file")
    return UsageError(f"{visible(path)} cannot be read: {error.strerror or error}")
