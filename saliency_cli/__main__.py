"""`saliency` and `python -m saliency_cli`: signals are caught before anything else is imported."""

import gc
import sys

from saliency_cli import signals
from saliency_cli.errors import InternalError, Interrupted, system_error
from saliency_cli.standard_streams import prepare_streams

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` takes longer than everything else here
    from typing import NoReturn

OBJECTS_PER_COLLECTION = 70_000
"""New objects after which Python collects garbage, 100 times the usual number. What is imported,
the classifier and the rows of a report have few cycles: it saves 0.5 s of a start of 5."""


def main() -> None:
    """Run the command line; SIGINT and SIGTERM end it with a message, a second one at once."""
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    try:
        prepare_streams()
        signals.install_handlers()
        from saliency_cli.cli.app import app  # noqa: PLC0415 - a signal may come while it is imported

        app()
    except BaseException as error:
        stopped = error if isinstance(error, Interrupted) else signals.received()
        if stopped is not None:
            signals.exit_now(stopped)
        if isinstance(error, Exception):
            _exit_with_error(error)
        raise
    finally:
        signals.restore_default_handlers()


def _exit_with_error(error: Exception) -> "NoReturn":
    """End the process with the message of an exception that no command has handled.

    Such an exception is raised before a command runs, for example while a library is imported, or
    by `--help` if standard output cannot be written.
    """
    from traceback import format_exception  # noqa: PLC0415 - a command without errors needs neither

    from saliency_cli.safe_text import error_text, message_line, visible  # noqa: PLC0415
    from saliency_cli.stdout import discard_output  # noqa: PLC0415

    if "--debug" in sys.argv:
        sys.stderr.write(visible("".join(format_exception(error)), keep="\n"))
    if isinstance(error, OSError):
        reported = system_error(error)
        discard_output()
    else:
        reported = InternalError.of(error_text(error))
    hint = f"hint: {reported.hint}\n" if reported.hint else ""
    sys.stderr.write(f"error: {message_line(reported.message)}\n{hint}")
    raise SystemExit(reported.exit_code) from None


if __name__ == "__main__":
    main()
