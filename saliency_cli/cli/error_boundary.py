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
from saliency_cli.errors import InternalError, Interrupted, SaliencyError, UsageError, system_error
from saliency_cli.safe_text import error_text, visible
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
        system_error(error) if isinstance(error, OSError) else InternalError.of(error_text(error))
    )


class Commands(TyperGroup):
    """The group of all commands; a refused command line is one line and a hint, as other errors."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
        """Parse the options before the command; see `TyperGroup`."""
        with _shown_usage_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - whatever a command returns
        """Parse the command with its options, and run it; see `TyperGroup`."""
        with _shown_usage_errors(ctx):
            return super().invoke(ctx)


@contextmanager
def _shown_usage_errors(ctx: Any) -> Iterator[None]:  # noqa: ANN401 - Typer's context
    """Print a usage error of Typer's that the block raises, and exit with its code.

    Typer itself would print a box of several lines. An error that stands for the help, where no
    argument is given, passes.
    """
    try:
        yield
    except _TYPER_USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            raise
        message = " ".join(error.format_message().split()).removesuffix(".")
        message = message.replace(": Value error, ", ": ", 1)  # the words of Typer's parser
        path = (error.ctx or ctx).command_path
        show_error(message[:1].lower() + message[1:], f"{path} --help lists what it takes")
        raise typer.Exit(UsageError.exit_code) from None


_TYPER_USAGE_ERROR: Any = typer.BadParameter.__base__
"""Typer's UsageError. The module that defines it differs between versions of Typer."""
_TYPER_EXCEPTIONS: Any = (typer.Exit, typer.Abort, _TYPER_USAGE_ERROR.__base__)
"""What Typer itself turns into a message and an exit code."""
