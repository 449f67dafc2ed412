"""Writing to standard output, which carries data only: bytes, whatever the terminal's encoding."""

import fcntl
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from saliency_cli.errors import Interrupted, OutputError

_STDOUT, _STDERR, _FIRST_FREE = 1, 2, 3
"""Numbers of descriptors; `_FIRST_FREE` and those above have no meaning of their own."""
_reserved: list[TextIO | None] = []
"""The standard output that `reserved_stdout` has set aside; a list, to be changed in place."""


@contextmanager
def reserved_stdout() -> Iterator[None]:
    """Reserve standard output for `write_data`; what else is written there goes to standard error.

    A user's own module, or a library, may print while it runs, also from C code or in a process
    that it starts. `sys.stdout` and descriptor 1 belong to the whole process, so they are replaced
    once for a command, and not for each call of such code.
    """
    stream = sys.stdout
    with _reserved_descriptor(stream) as data:
        _reserved.append(data)
        sys.stdout = sys.stderr
        try:
            yield
        finally:
            sys.stdout = stream
            _reserved.pop()


@contextmanager
def _reserved_descriptor(stream: TextIO | None) -> Iterator[TextIO | None]:
    """Point descriptor 1 to standard error, and yield a stream that writes to where it pointed.

    A stream of another descriptor is yielded as it is, and so is None, for a closed standard output
    (`standard_streams` has opened /dev/null in its place).
    """
    if stream is None or _number(stream) != _STDOUT:
        yield stream
        return
    own = fcntl.fcntl(_STDOUT, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    with os.fdopen(own, "w", encoding=stream.encoding, errors=stream.errors) as data:
        os.dup2(_STDERR, _STDOUT)
        try:
            yield data
        finally:
            _flush_buffers(stream)
            os.dup2(own, _STDOUT)


def _number(stream: TextIO) -> int | None:
    """Return the descriptor that a stream writes to, or None if it has none."""
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def _flush_buffers(stream: TextIO) -> None:
    """Write to descriptor 1 what code of others has left in the buffers of Python and of C."""
    import ctypes  # noqa: PLC0415 - takes 10 ms, and the command has ended

    with suppress(OSError, ValueError):
        stream.flush()
    ctypes.CDLL(None).fflush(None)


def data_stream() -> TextIO:
    """Return the stream that data is written to.

    Raises:
        OutputError: if standard output is closed.
    """
    stream: TextIO | None = _reserved[-1] if _reserved else sys.stdout
    if stream is None:
        raise OutputError("standard output cannot be written: it is closed")
    return stream


def write_data(chunks: Iterable[bytes]) -> None:
    """Write chunks of bytes to standard output, and flush each of them.

    Raises:
        OutputError: if standard output cannot be written.
        Interrupted: if the reader of the pipe has closed it (SIGPIPE).
    """
    for chunk in chunks:
        _write(chunk)


def _write(chunk: bytes) -> None:
    stream = data_stream().buffer
    try:
        stream.write(chunk)
        stream.flush()
    except BrokenPipeError:
        discard_output()
        raise Interrupted(signal.SIGPIPE) from None
    except OSError as error:
        discard_output()
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def discard_output() -> None:
    """Redirect standard output to /dev/null; else Python's flush at exit would fail again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    reserved = [_number(stream) for stream in _reserved if stream is not None]
    for descriptor in (_STDOUT, *reserved):
        if descriptor is not None:
            os.dup2(devnull, descriptor)
    os.close(devnull)
