"""Raw streams: a file read at several places at once, a stream with its head again, a spool."""

import hashlib
import io
import os
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from saliency_cli.atomic_files import output_errors

START = 2
"""Bytes that tell what a stream is, and are there before it is read."""


class Bytes(Protocol):
    """What the rest of this room asks of a raw stream."""

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - any writable buffer, as io has it
        """Fill `buffer` as far as one read goes."""


class Cursor(io.RawIOBase):
    """A raw stream over a regular file, with a place of its own: several may read one file."""

    def __init__(self, descriptor: int, start: int = 0) -> None:
        self._descriptor = descriptor
        self._at = start

    def readable(self) -> bool:
        """Say yes: the buffers above ask."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Fill `buffer` as far as one read goes."""
        data = os.pread(self._descriptor, len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class Stream:
    """What can be read once, but for its head of `most` bytes, which is held and given again."""

    def __init__(self, stream: BinaryIO, *, most: int) -> None:
        self._stream = stream
        self._most = most
        self._held = bytearray(stream.read(START))
        self._at = 0
        self._holding = True
        self._ended = False

    @property
    def start(self) -> bytes:
        """The first bytes, from which gzip is known."""
        return bytes(self._held[:START])

    def again(self) -> None:
        """Begin again, this time to the end."""
        self._at, self._holding = 0, False

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Fill `buffer` with what is held, then as far as one read goes."""
        if self._at == len(self._held):
            self._read(len(buffer))
        data = self._held[self._at : self._at + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _read(self, count: int) -> None:
        if self._ended or (self._holding and len(self._held) >= self._most):
            return
        if not self._holding:
            self._held, self._at = bytearray(), 0
        data = self._stream.read1(count)  # type: ignore[attr-defined] # what a pipe has now
        self._ended = not data  # a terminal would ask for its end a second time
        self._held += data


class HashingReader(io.RawIOBase):
    """A raw stream that hashes, and where it is told to keeps, what is read through it."""

    def __init__(self, raw: Bytes, spool: "Spool | None" = None) -> None:
        self._raw = raw
        self._spool = spool
        self._sha256 = hashlib.sha256()

    def readable(self) -> bool:
        """Say yes: the buffers above ask."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Fill `buffer`, hashing on the way."""
        count = self._raw.readinto(buffer)
        data = memoryview(buffer)[:count]
        self._sha256.update(data)
        if self._spool is not None:
            self._spool.write(data)
        return count

    def hexdigest(self) -> str:
        """Return the SHA-256 of the whole input; what was not read yet is read here."""
        while self.read(1 << 20):
            pass
        return self._sha256.hexdigest()


class Spool:
    """A file that keeps what a stream gave, made anew: nothing is written through a link."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with output_errors(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self.descriptor = os.open(path, flags, 0o666)

    def write(self, data: memoryview) -> None:
        """Append bytes.

        Raises:
            OutputError: the disk is full, or gone.
        """
        with output_errors(self._path):
            while data:
                data = data[os.write(self.descriptor, data) :]

    def sync(self) -> None:
        """See that what was written is on the disk."""
        with output_errors(self._path):
            os.fsync(self.descriptor)
