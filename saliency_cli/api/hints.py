"""Errors with their hints, for tracebacks."""

from collections.abc import Iterator
from contextlib import contextmanager

from saliency_cli.errors import SaliencyError


@contextmanager
def notes_of_hints() -> Iterator[None]:
    """Add its hint to an error that passes, so that a traceback shows it."""
    try:
        yield
    except SaliencyError as error:
        note = f"hint: {error.hint}"
        if error.hint is not None and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise
