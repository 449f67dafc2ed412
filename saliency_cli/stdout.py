"""Standard output, which carries data only: bytes, the same whatever the terminal's encoding is."""

import os
import signal
import sys
from collections.abc import Iterable

from saliency_cli.errors import Interrupted, OutputError


def write_data(chunks: Iterable[bytes]) -> None:
    """Write pieces to standard output, and see them through.

    Raises:
        OutputError: it cannot be written.
        Interrupted: whoever read it went away.
    """
    for chunk in chunks:
        _write(chunk)


def _write(chunk: bytes) -> None:
    stream = sys.stdout.buffer
    try:
        stream.write(chunk)
        stream.flush()
    except BrokenPipeError:
        _close()
        raise Interrupted(signal.SIGPIPE) from None
    except OSError as error:
        _close()
        raise OutputError(f"standard output cannot be written: {error.strerror}") from error


def _close() -> None:
    """Send what is still held to nowhere, or Python's own last flush would fail as well."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
