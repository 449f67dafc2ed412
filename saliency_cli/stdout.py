"""Writing to standard output, which carries data only: bytes, whatever the terminal's encoding."""

import os
import signal
import sys
from collections.abc import Iterable

from saliency_cli.errors import Interrupted, OutputError


def write_data(chunks: Iterable[bytes]) -> None:
    """Write chunks of bytes to standard output, and flush each of them.

    Raises:
        OutputError: if standard output cannot be written.
        Interrupted: if the reader of the pipe has closed it (SIGPIPE).
    """
    for chunk in chunks:
        _write(chunk)


def _write(chunk: bytes) -> None:
    stream = sys.stdout.buffer
    try:
        stream.write(chunk)
        stream.flush()
    except BrokenPipeError:
        _discard_buffer()
        raise Interrupted(signal.SIGPIPE) from None
    except OSError as error:
        _discard_buffer()
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def _discard_buffer() -> None:
    """Redirect standard output to /dev/null; else Python's flush at exit would fail again."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
