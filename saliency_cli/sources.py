"""A path or standard input -> physical lines, counted and hashed as they pass.

Gzip is recognised by its first bytes, whatever the suffix. Bytes that are no UTF-8 come through as
lone surrogates (PEP 383), so that one bad line costs one row and not the file.
"""

import gzip
import hashlib
import io
import sys
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from saliency_cli.errors import UsageError
from saliency_cli.escapes import visible

STDIN = "-"
GZIP_MAGIC = b"\x1f\x8b"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Tally(io.RawIOBase):
    """A raw stream that counts and hashes what is read through it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._sha256 = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        """Say yes: the buffers above ask."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as io has it
        """Fill `buffer`, counting and hashing on the way."""
        data = self._raw.read1(len(buffer))  # type: ignore[attr-defined] # a pipe gives what it has
        buffer[: len(data)] = data
        self.count += len(data)
        self._sha256.update(data)
        return len(data)

    def hexdigest(self) -> str:
        """Return the SHA-256 of the whole input; a run that stopped early reads to its end here."""
        while self.read(1 << 20):
            pass
        return self._sha256.hexdigest()


class Steady(io.RawIOBase):
    """A raw stream that ends where the one below it breaks, and remembers why.

    What was read before is so not lost in the buffers above.
    """

    def __init__(self, below: io.BufferedReader | gzip.GzipFile) -> None:
        self._below = below
        self.broken: str | None = None

    def readable(self) -> bool:
        """Say yes: the buffers above ask."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer, as io has it
        """Fill `buffer` as far as one read goes."""
        if self.broken is not None:
            return 0
        try:
            data = self._below.read1(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            self.broken = str(error)
            return 0
        buffer[: len(data)] = data
        return len(data)


class Lines:
    """Physical lines with their ends, counted from 1; those of a row that failed can be reread."""

    def __init__(self, tally: Tally, name: str) -> None:
        self._tally = tally
        self._steady = Steady(_unzipped(io.BufferedReader(tally)))
        self._stream = _decoded(self._steady, name)
        self._seen = 0
        self._again: deque[str] = deque()
        self._row: list[str] = []
        self.first = 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        self._row.append(line)
        return line

    def _read(self) -> str:
        line = next(self._stream)
        if self.broken is not None and not line.endswith(("\n", "\r")):
            raise StopIteration  # half a line, which is no row
        return line

    @property
    def broken(self) -> str | None:
        """Why the input ended before its end, or None."""
        return self._steady.broken

    def begin(self) -> None:
        """Start a row at the next line."""
        self.first += len(self._row)
        self._row = []

    def give_back(self) -> None:
        """Keep the first line of the row that was begun, and have the others read again."""
        self._again.extendleft(reversed(self._row[1:]))
        del self._row[1:]

    def raw(self) -> str:
        """Return the row's lines as they stand in the file."""
        return "".join(self._row).rstrip("\r\n")

    def take_size(self) -> int:
        """Return how many bytes of the file were read since the last call."""
        size, self._seen = self._tally.count - self._seen, self._tally.count
        return size


@contextmanager
def open_bytes(path: str) -> Iterator[BinaryIO]:
    """Open a file, or standard input for "-".

    Raises:
        UsageError: it is not there, or may not be read.
    """
    if path == STDIN:
        yield sys.stdin.buffer
        return
    with _open(path) as stream:
        yield stream


def _open(path: str) -> io.BufferedReader:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise UsageError(f"{visible(path)}: there is no such file") from None
    except OSError as error:
        raise UsageError(f"{visible(path)} cannot be read: {error.strerror}") from None


def _unzipped(buffered: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    return gzip.GzipFile(fileobj=buffered) if buffered.peek(2)[:2] == GZIP_MAGIC else buffered


def _decoded(steady: Steady, name: str) -> io.TextIOWrapper:
    """Return the text of a raw stream, its line ends untouched.

    Raises:
        UsageError: it is UTF-16, or says that it is gzip and is not.
    """
    buffered = io.BufferedReader(steady)
    head = buffered.peek(2)[:2]
    if steady.broken is not None and not head:
        raise UsageError(f"{visible(name)} is no readable gzip file: {steady.broken}")
    if head in UTF16_MARKS:
        raise UsageError(f"{visible(name)} is UTF-16, and only UTF-8 is read", "save it as UTF-8")
    return io.TextIOWrapper(buffered, encoding="utf-8-sig", errors="surrogateescape", newline="")
