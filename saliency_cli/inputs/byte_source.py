"""A path or standard input as a source of bytes: decompressed, counted and hashed while read.

Gzip is recognised by its first two bytes, whatever the file's suffix is. A regular file can be read
from any offset and any number of times. A stream can be read once; where it is written to a spool
file, that file is then read like a regular file.
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
from saliency_cli.inputs.byte_streams import (
    MAGIC_SIZE,
    FileCursor,
    HashingReader,
    RewindableStream,
    Spool,
)
from saliency_cli.inputs.file_identity import FileIdentity, names_descriptor
from saliency_cli.inputs.sparse_files import is_sparse
from saliency_cli.safe_text import visible

STDIN = "-"
GZIP_MAGIC = b"\x1f\x8b"
"""The first bytes of a gzip file (RFC 1952, section 2.3.1)."""
CHUNK_BYTES = 1 << 18
"""Bytes decompressed at once. The number must not vary: how much zlib still returns of a damaged
gzip file depends on it, and a row must not depend on where reading began."""
HEAD_BYTES = 32 << 20
"""Maximum number of bytes looked at before a run starts. Those of a stream stay in memory until the
stream is read from the start."""


class Chunks:
    """The decompressed bytes of an input, one chunk at a time.

    A read error ends the chunks, and does not raise: what was read before it stays usable.

    Attributes:
        bytes_read: Decompressed bytes read so far.
        read_error: Why reading ended early, or None.
    """

    def __init__(self, raw: io.RawIOBase, *, gzipped: bool, max_bytes: int | None = None) -> None:
        buffered = io.BufferedReader(raw)
        self._reader = gzip.GzipFile(fileobj=buffered) if gzipped else buffered
        self._max_bytes = max_bytes
        self._next_chunk = b""
        self.bytes_read = 0
        self.read_error: str | None = None

    @property
    def reached_limit(self) -> bool:
        """Whether `max_bytes` were read, so that the input may have more bytes."""
        return self._max_bytes is not None and self.bytes_read >= self._max_bytes

    def read(self) -> bytes:
        """Return the next chunk, or no bytes at the end."""
        if self._next_chunk:
            data, self._next_chunk = self._next_chunk, b""
            return data
        if self.read_error is not None or self.reached_limit:
            return b""
        try:
            data = self._reader.read1(CHUNK_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            self.read_error = str(error)
            return b""
        self.bytes_read += len(data)
        return data

    def peek(self) -> bytes:
        """Return the next chunk without consuming it."""
        self._next_chunk = self.read()
        return self._next_chunk

    def skip_to(self, offset: int) -> None:
        """Discard the bytes before `offset`, which counts decompressed bytes."""
        while self.bytes_read < offset and (data := self.read()):
            if self.bytes_read > offset:
                self._next_chunk = data[offset - self.bytes_read :]


class Input:
    """An open input whose bytes can be read from the start and, if seekable, from any offset.

    Attributes:
        name: The file's name without its folder, "-" for standard input.
        gzipped: Whether the bytes are gzip-compressed.
        opened: The file when it was opened, or its spool when it was flushed; None for a stream.
    """

    def __init__(self, name: str, opened: "int | RewindableStream") -> None:
        self.name = name
        self._stream = opened if isinstance(opened, RewindableStream) else None
        self._descriptor = opened if isinstance(opened, int) else None
        self._hasher: HashingReader | None = None
        self._spool: Spool | None = None
        self.opened = self._identity()  # before the first byte is read
        magic = os.pread(opened, MAGIC_SIZE, 0) if isinstance(opened, int) else opened.magic
        self.gzipped = magic == GZIP_MAGIC

    def _identity(self) -> FileIdentity | None:
        return None if self._descriptor is None else FileIdentity.of(self._descriptor)

    @property
    def seekable(self) -> bool:
        """Whether any offset can be read: the input is a regular file or was spooled."""
        return self._descriptor is not None

    @property
    def size(self) -> int | None:
        """Bytes on the disk, still compressed if the input is; None for a stream."""
        return None if self._descriptor is None else os.fstat(self._descriptor).st_size

    def read_head(self) -> Chunks:
        """Return the first `HEAD_BYTES` bytes; a later `read_all` returns them again."""
        raw = HashingReader(self._stream or self.cursor())
        return Chunks(raw, gzipped=self.gzipped, max_bytes=HEAD_BYTES)

    def read_all(self, spool: Path | None = None) -> Chunks:
        """Return a reader of all bytes from the start; it hashes them, compressed as they are.

        Standard input and pipes can be read only once. With `spool`, the path of a file that keeps
        a copy of them, the input is seekable from now on.

        Raises:
            OutputError: The spool cannot be written.
        """
        if self._stream is not None:
            self._stream.rewind()
        raw = self._stream or self.cursor()
        if spool is not None:
            self._spool = Spool(spool)
            self._descriptor, self._stream = self._spool.descriptor, None
        self._hasher = HashingReader(raw, self._spool)
        return Chunks(self._hasher, gzipped=self.gzipped)

    def read_from(self, offset: int) -> Chunks:
        """Return the bytes from `offset` on, which counts decompressed bytes.

        A gzip file has no index, so it is decompressed from its start.
        """
        chunks = Chunks(self.cursor(0 if self.gzipped else offset), gzipped=self.gzipped)
        if self.gzipped:
            chunks.skip_to(offset)
        return chunks

    def cursor(self, start: int = 0) -> FileCursor:
        """Return a new seekable reader over the bytes as they are stored, not decompressed.

        Raises:
            RuntimeError: The input is a stream that was not spooled.
        """
        if self._descriptor is None:
            raise RuntimeError("a stream cannot be read from an offset before it is spooled")
        return FileCursor(self._descriptor, start)

    def sha256(self) -> str:
        """Return the SHA-256 of all bytes as they are stored; unread bytes are read now.

        Raises:
            UsageError: The input cannot be read to its end.
        """
        return self._hexdigest(self._hasher or HashingReader(self.cursor()))

    def stored_sha256(self) -> str:
        """Return the SHA-256 of all bytes, read again from the disk.

        Raises:
            UsageError: The input cannot be read to its end.
        """
        return self._hexdigest(HashingReader(self.cursor()))

    def _hexdigest(self, reader: HashingReader) -> str:
        try:
            return reader.hexdigest()
        except OSError as error:
            raise _read_error(self.name, error) from None

    def check_unchanged(self) -> None:
        """Check that the open file was not written since it was opened.

        Raises:
            UsageError: It was: rows read before and after are of different contents.
        """
        if self._identity() != self.opened:
            raise changed_error(self.name)

    def sync(self) -> None:
        """Flush the spool, if there is one, to the disk; from then on it must not change.

        Raises:
            OutputError: The spool cannot be flushed.
        """
        if self._spool is not None:
            self._spool.sync()
            self.opened = self._identity()

    def close(self) -> None:
        """Close the spool; the input's own file is closed by `open_input`."""
        if self._spool is not None:
            os.close(self._spool.descriptor)


@contextmanager
def open_input(path: str, *, spooled: Path | None = None) -> Iterator[Input]:
    """Open a file, or standard input if `path` is "-".

    Args:
        path: The input's path; it also gives the input its name.
        spooled: A file with the input's bytes, written by an earlier process; it is read instead.

    Raises:
        UsageError: There is no such file, it cannot be opened, or it consists of holes.
    """
    name = STDIN if path == STDIN else Path(path).name
    with ExitStack() as stack:
        try:
            data = Input(name, _open_raw(path, spooled, stack))
        except OSError as error:
            raise _read_error(str(spooled or path), error) from None
        stack.callback(data.close)
        yield data


def _open_raw(path: str, spooled: Path | None, stack: ExitStack) -> int | RewindableStream:
    """Return the descriptor of a regular file; anything else is returned as a stream.

    So is a file that is named by a descriptor: a worker could not open it by that name, but reads
    the spool of a stream.
    """
    if path == STDIN and spooled is None:
        if sys.stdin is None:
            raise UsageError(
                "standard input is closed", "give a file name, or pipe texts into the command"
            )
        return RewindableStream(sys.stdin.buffer, max_kept=HEAD_BYTES)
    stream = stack.enter_context((spooled or Path(path)).open("rb"))
    status = os.fstat(stream.fileno())
    regular = stat.S_ISREG(status.st_mode) and (
        spooled is not None or not names_descriptor(Path(path))
    )
    if not regular:
        return RewindableStream(stream, max_kept=HEAD_BYTES)
    if is_sparse(status):
        raise UsageError(
            f"{visible(str(spooled or path))} has {status.st_size:,} bytes, but almost none on the "
            "disk",
            "copy or download the whole file, or pipe it into the command",
        )
    return stream.fileno()


def is_regular_file(path: str) -> bool:
    """Whether a path names a regular file, not standard input, a FIFO, a device or a descriptor."""
    return path != STDIN and Path(path).is_file() and not names_descriptor(Path(path))


def changed_error(name: str) -> UsageError:
    """Return the error for an input that changed under a run."""
    return UsageError(
        f"{visible(name)} has changed since its rows were counted",
        "explain it again with --overwrite",
    )


def _read_error(path: str, error: OSError) -> UsageError:
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{visible(path)}: there is no such file")
    return UsageError(f"{visible(path)} cannot be read: {error.strerror or error}")
