"""`saliency` and `python -m saliency_cli`: signals are caught before anything else is imported."""

import os

from saliency_cli import signals
from saliency_cli.errors import Interrupted


def main() -> None:
    """Run the command line; SIGINT and SIGTERM end it with a message, a second one at once."""
    try:
        signals.catch()
        from saliency_cli.cli import app  # noqa: PLC0415 - a signal may come while it is imported

        app()
    except BaseException as error:
        stopped = error if isinstance(error, Interrupted) else signals.caught()
        if stopped is not None:
            _leave(stopped)
        raise
    finally:
        signals.release()


def _leave(stopped: Interrupted) -> None:
    """End without Python's last steps, which flush to pipes that nobody may read.

    They would also tear down libraries that the signal found half imported.
    """
    signals.release()
    if not stopped.silent:
        os.write(2, f"error: {stopped}\n".encode())
    os._exit(stopped.exit_code)


if __name__ == "__main__":
    main()
