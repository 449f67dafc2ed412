"""The one place where errors become a message and an exit code."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from saliency_cli.cli.console import show_error
from saliency_cli.errors import Interrupted, SaliencyError, UsageError
from saliency_cli.safe_text import visible


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
            sys.stderr.write(visible(traceback.format_exc(), keep="\n"))
        if isinstance(error, Interrupted):
            raise
        known = error if not isinstance(error, OSError) else _unusable(error)
        show_error(known.message, known.hint)
        raise typer.Exit(known.exit_code) from None


def _unusable(error: OSError) -> UsageError:
    """Say what the system says of a path that no room expected to fail: too long, forbidden."""
    path = "" if error.filename is None else f"{error.filename}: "
    return UsageError(f"{path}{error.strerror or error}")


class Commands(TyperGroup):
    """The commands; a command line that is refused is quoted as text, which acts on no terminal."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Read the options before the command."""
        with _quoted():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - whatever a command returns
        """Read the command and its options, and run it."""
        with _quoted():
            return super().invoke(ctx)


@contextmanager
def _quoted() -> Iterator[None]:
    try:
        yield
    except _REFUSED as error:
        error.message = visible(error.message)
        raise


_REFUSED: Any = typer.BadParameter.__base__
"""Typer's UsageError; its module, like that of a context, is not the same in all versions."""
