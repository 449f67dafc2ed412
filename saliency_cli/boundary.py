"""The one place where errors become a message and an exit code."""

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from saliency_cli.console import show_error
from saliency_cli.errors import Interrupted, SaliencyError, UsageError


@contextmanager
def boundary(*, debug: bool) -> Iterator[None]:
    """Turn errors into a message and an exit code; no command has another way out.

    Raises:
        typer.Exit: with the code of the error.
    """
    try:
        yield
    except (SaliencyError, Interrupted, OSError) as error:
        if debug:
            traceback.print_exc()
        known = error if not isinstance(error, OSError) else _unusable(error)
        if known.exit_code != _READER_GONE:
            show_error(str(known), getattr(known, "hint", None))
        raise typer.Exit(known.exit_code) from None


_READER_GONE = 128 + signal.SIGPIPE
"""Whoever ended the reader of a pipe, as `head` does, knows; it is no news."""


def _unusable(error: OSError) -> UsageError:
    """Say what the system says of a path that no room expected to fail: too long, forbidden."""
    path = "" if error.filename is None else f"{error.filename}: "
    return UsageError(f"{path}{error.strerror or error}")
