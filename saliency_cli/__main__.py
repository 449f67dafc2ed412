"""`saliency` and `python -m saliency_cli`: signals are caught before anything else is imported."""

from saliency_cli import signals
from saliency_cli.errors import Interrupted


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
        raise
    finally:
        signals.restore_default_handlers()


if __name__ == "__main__":
    main()
