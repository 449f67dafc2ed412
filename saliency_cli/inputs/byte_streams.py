"""Raw byte readers: over a regular file, over a stream whose first bytes are kept, and a spool."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from saliency_cli.atomic_files import output_errors

MAGIC_SIZE = 2
"""Bytes read at opening, to tell gzip from other content."""


class RawReader(Protocol):
    """The one method of `io.RawIOBase` that this package needs."""

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer, as io has it
        """Read once into `buffer` and return the number of bytes read, 0 at the end."""


class FileCursor(io.RawIOBase):
    """A raw reader over a regular file, with an offset of its own.

    Several cursors can read one descriptor at the same time, since pread(2) does not use the
    descriptor's own offset.
    """

    def __init__(self, descriptor: int, start: int = 0) -> None:
        self._descriptor = descriptor
        self._offset = start

    def readable(self) -> bool:
        """Return True: `io.BufferedReader` requires it."""
        return True

    def seekable(self) -> bool:
        """Return True: a format by columns, such as Parquet, seeks to the end of its file first."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` and return the new absolute offset, as `io.RawIOBase.seek` does.

        Args:
            offset: Bytes from the origin that `whence` names.
            whence: `os.SEEK_SET` (start), `os.SEEK_CUR` (current offset) or `os.SEEK_END`.

        Raises:
            ValueError: The new offset would be negative.
        """
        size = os.fstat(self._descriptor).st_size
        absolute = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: size}[whence] + offset
        if absolute < 0:
            raise ValueError(f"negative seek position {absolute}")
        self._offset = absolute
        return absolute

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Read once into `buffer` and return the number of bytes read."""
        data = os.pread(self._descriptor, len(buffer), self._offset)
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)


class RewindableStream:
    """A stream (pipe, FIFO, terminal) whose first bytes are kept until `rewind` is called.

    Before `rewind`, at most `max_kept` bytes are read, and all are kept. After it, the kept bytes
    are read once more, then the rest of the stream, of which nothing is kept.
    """

    def __init__(self, stream: BinaryIO, *, max_kept: int) -> None:
        self._stream = stream
        self._max_kept = max_kept
        self._buffer = bytearray(stream.read(MAGIC_SIZE))
        self._offset = 0  # in the buffer
        self._keeping = True
        self._ended = False

    @property
    def magic(self) -> bytes:
        """The first bytes, by which gzip is recognised."""
        return bytes(self._buffer[:MAGIC_SIZE])

    def rewind(self) -> None:
        """Return to the first byte and stop keeping what is read; call it once."""
        self._offset, self._keeping = 0, False

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Read kept bytes into `buffer`, or else read the stream once; return the byte count."""
        if self._offset == len(self._buffer):
            self._fill(len(buffer))
        data = self._buffer[self._offset : self._offset + len(buffer)]
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)

    def _fill(self, count: int) -> None:
        """Read up to `count` bytes of the stream into the buffer."""
        if self._ended or (self._keeping and len(self._buffer) >= self._max_kept):
            return
        if not self._keeping:
            self._buffer, self._offset = bytearray(), 0
        # read1 returns what a pipe has now; read would wait until all `count` bytes are there.
        data = self._stream.read1(count)  # type: ignore[attr-defined]
        # After the end of a terminal's input, another read would wait for a second Ctrl-D.
        self._ended = not data
        self._buffer += data


class HashingReader(io.RawIOBase):
    """A raw reader that hashes all bytes read through it and, with a spool, also stores them."""

    def __init__(self, raw: RawReader, spool: "Spool | None" = None) -> None:
        self._raw = raw
        self._spool = spool
        self._sha256 = hashlib.sha256()

    def readable(self) -> bool:
        """Return True: `io.BufferedReader` requires it."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Read once into `buffer`, hash and spool what was read, and return the byte count."""
        count = self._raw.readinto(buffer)
        data = memoryview(buffer)[:count]
        self._sha256.update(data)
        if self._spool is not None:
            self._spool.write(data)
        return count

    def hexdigest(self) -> str:
        """Return the SHA-256 of the whole input; the part that was not read yet is read now."""
        while self.read(1 << 20):
            pass
        return self._sha256.hexdigest()


class Spool:
    """A new file that stores the bytes of a stream, so that they can be read again.

    It is created with O_EXCL and O_NOFOLLOW: an existing file is not overwritten and a symbolic
    link is not followed (open(2)).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with output_errors(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self.descriptor = os.open(path, flags, 0o666)

    def write(self, data: memoryview) -> None:
        """Append bytes.

        Raises:
            OutputError: The file cannot be written, for instance because the disk is full.
        """
        with output_errors(self._path):
            while data:
                data = data[os.write(self.descriptor, data) :]

    def sync(self) -> None:
        """Flush the written bytes to the disk with fsync(2).

        Raises:
            OutputError: The file cannot be flushed.
        """
        with output_errors(self._path):
            os.fsync(self.descriptor)
