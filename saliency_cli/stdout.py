"""Writing to standard output, which carries data only: bytes, whatever the terminal's encoding."""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from saliency_cli.errors import Interrupted, OutputError

_STDOUT = 1
_reserved: list[TextIO | None] = []
"""The standard output that `reserved_stdout` has set aside; a list, to be changed in place."""


@contextmanager
def reserved_stdout() -> Iterator[None]:
    """Reserve standard output for `write_data`; what else prints there goes to standard error.

    A user's own module, or a library, may print while it runs. `sys.stdout` belongs to the whole
    process, so it is replaced once for a command, and not for each call of such code.
    """
    stream = sys.stdout
    _reserved.append(stream)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = stream
        _reserved.pop()


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
    os.dup2(devnull, _STDOUT)
    os.close(devnull)
