"""The one place that turns errors into a message on stderr and an exit code."""

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from saliency_cli.cli.console import show_error
from saliency_cli.errors import InternalError, Interrupted, SaliencyError, UsageError
from saliency_cli.safe_text import error_text, message_line, visible
from saliency_cli.signals import received
from saliency_cli.stdout import reserved_stdout


@contextmanager
def boundary(*, debug: bool) -> Iterator[None]:
    """Print the errors of the block as a message, and exit with their code.

    Every command runs inside this block, and standard output is reserved for data meanwhile.
    `Interrupted` passes through it: `__main__` handles it. So do Typer's own exceptions.

    Args:
        debug: Whether to print the traceback, too.

    Raises:
        typer.Exit: another exception was raised; it has the error's exit code.
        Interrupted: the process was asked to stop.
    """
    try:
        with reserved_stdout():
            yield
    except _TYPER_EXCEPTIONS:
        raise
    except BaseException as error:
        if debug:
            sys.stderr.write(visible(traceback.format_exc(), keep="\n"))
        if isinstance(error, Interrupted):
            raise
        stopped = received()
        if stopped is not None:  # a library's C code may turn our exception into one of its own
            raise stopped from None
        if isinstance(error, KeyboardInterrupt):  # Typer would end with exit code 1
            raise Interrupted(signal.SIGINT) from None
        reported = _reported(error)
        show_error(reported.message, reported.hint)
        raise typer.Exit(reported.exit_code) from None


def _reported(error: BaseException) -> SaliencyError:
    """Return the error that the user is told of.

    `SystemExit` is an internal error, too: a library or a user's module has raised it, and the exit
    code in it says nothing about the command.
    """
    if isinstance(error, SaliencyError):
        return error
    return (
        _usage_error(error) if isinstance(error, OSError) else InternalError.of(error_text(error))
    )


def _usage_error(error: OSError) -> UsageError:
    """Return an error about a path that the system refuses, e.g. because it is too long.

    Failures that a caller expects, such as a missing file, are SaliencyErrors already.
    """
    path = "" if error.filename is None else f"{error.filename}: "
    return UsageError(f"{path}{error.strerror or error}")


class Commands(TyperGroup):
    """The group of all commands.

    Typer quotes the refused command line in its error messages. Control characters in it are
    shown as escapes, so that they have no effect on the terminal.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Parse the options before the command; see `TyperGroup`."""
        with _escaped_usage_errors():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - whatever a command returns
        """Parse the command with its options, and run it; see `TyperGroup`."""
        with _escaped_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _escaped_usage_errors() -> Iterator[None]:
    """Escape and shorten the message of a usage error that the block raises."""
    try:
        yield
    except _TYPER_USAGE_ERROR as error:
        error.message = message_line(error.message)
        raise


_TYPER_USAGE_ERROR: Any = typer.BadParameter.__base__
"""Typer's UsageError. The module that defines it differs between versions of Typer."""
_TYPER_EXCEPTIONS: Any = (typer.Exit, typer.Abort, _TYPER_USAGE_ERROR.__base__)
"""What Typer itself turns into a message and an exit code."""
