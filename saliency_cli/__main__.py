"""`saliency` and `python -m saliency_cli`: signals are caught before anything else is imported."""

import sys

from saliency_cli import signals
from saliency_cli.errors import InternalError, Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` takes longer than everything else here
    from typing import NoReturn


def main() -> None:
    """Run the command line; SIGINT and SIGTERM end it with a message, a second one at once."""
    try:
        signals.install_handlers()
        from saliency_cli.cli.app import app  # noqa: PLC0415 - a signal may come while it is imported

        app()
    except BaseException as error:
        stopped = error if isinstance(error, Interrupted) else signals.received()
        if stopped is not None:
            signals.exit_now(stopped)
        if isinstance(error, Exception):
            _exit_with_internal_error(error)
        raise
    finally:
        signals.restore_default_handlers()


def _exit_with_internal_error(error: Exception) -> "NoReturn":
    """End the process with the message of an exception that no command has handled.

    Such an exception is raised before a command runs, for example while a library is imported.
    """
    from traceback import format_exception  # noqa: PLC0415 - a command without errors needs neither

    from saliency_cli.safe_text import error_text, visible  # noqa: PLC0415

    if "--debug" in sys.argv:
        sys.stderr.write(visible("".join(format_exception(error)), keep="\n"))
    reported = InternalError.of(error_text(error))
    sys.stderr.write(f"error: {reported.message}\nhint: {reported.hint}\n")
    raise SystemExit(reported.exit_code) from None


if __name__ == "__main__":
    main()
