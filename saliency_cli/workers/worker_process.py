"""A process of this machine that runs a worker: it reads shard numbers from a pipe, and replies."""

import os
import signal
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from saliency_cli import signals
from saliency_cli.attribution.engine import Engine
from saliency_cli.errors import InternalError, Interrupted
from saliency_cli.records import BadRow, Row
from saliency_cli.safe_text import error_text
from saliency_cli.stdout import reserved_stdout
from saliency_cli.workers.worker import Worker, WorkerSpec

REPORT_INTERVAL = 0.2
"""Minimum seconds between two messages about explained rows."""


@dataclass(frozen=True, slots=True)
class RowProgress:
    """A message from a worker: it has explained `count` more rows of its shard."""

    count: int


@dataclass(slots=True)
class _ProgressReporter:
    """Sends the number of explained rows to the parent process, at most once per `REPORT_INTERVAL`.

    It also ends this process if the parent has died.
    """

    pipe: Connection
    parent_pid: int
    unreported_rows: int = 0
    last_report: float = 0.0

    def exit_if_orphaned(self) -> None:
        """End this process if the parent has died: nothing would use its work."""
        if os.getppid() != self.parent_pid:
            raise SystemExit(1)

    def __call__(self, _row: Row | BadRow) -> None:
        """Count an explained row."""
        self.exit_if_orphaned()
        self.unreported_rows += 1
        now = time.monotonic()
        if now - self.last_report > REPORT_INTERVAL:
            self.pipe.send(RowProgress(self.unreported_rows))
            self.unreported_rows, self.last_report = 0, now


def worker_main(
    spec: WorkerSpec, pipe: Connection, *, parent_pid: int, engine: Engine | None = None
) -> None:
    """Run a worker in this process until it is terminated or the run's process ends.

    Args:
        spec: What the worker needs in order to open the run.
        pipe: To the run's process: numbers of shards come, replies go.
        parent_pid: The process that started this one; it ends when the run's process does.
        engine: The loaded model, if this process was forked with it.
    """
    signals.install_handlers()
    reporter = _ProgressReporter(pipe, parent_pid)
    worker = Worker(spec, engine=engine, done=reporter)
    try:
        signals.raise_from_now_on()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # a fork server blocks it
        reporter.exit_if_orphaned()  # the parent may have died while torch was imported
        with reserved_stdout():  # standard output is the parent's, and carries data only
            pipe.send(worker.prepare())
            while True:
                pipe.send(worker.explain_shard(pipe.recv()))
    except Interrupted:
        raise SystemExit(1) from None
    except (EOFError, OSError):  # the parent process has ended
        return
    except Exception as error:  # noqa: BLE001 - the pool raises it in the parent process
        with suppress(OSError):  # unless that has ended
            pipe.send(_picklable_error(error))
    finally:
        # A fork server that ends sends SIGTERM, maybe while this process ends anyway: raised during
        # the exit, `Interrupted` would be printed as a traceback.
        signals.restore_default_handlers()


def _picklable_error(error: BaseException) -> InternalError:
    """Return an `InternalError` with the same message; its note is the traceback.

    The parent process may not be able to unpickle the original, whose class may be a user's.
    """
    picklable = InternalError.of(error_text(error))
    picklable.add_note("".join(traceback.format_exception(error)))
    return picklable
