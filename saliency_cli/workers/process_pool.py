"""Workers that are processes on this machine, each with its own model and some of the threads."""

import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from typing import Any

from saliency_cli import signals
from saliency_cli.errors import InternalError, Interrupted
from saliency_cli.records import BadRow, Row
from saliency_cli.safe_text import error_text
from saliency_cli.stdout import reserved_stdout
from saliency_cli.workers.worker import Worker, WorkerSpec
from saliency_cli.workers.worker_pool import POLL_INTERVAL, WorkerLostError

TERMINATE_TIMEOUT = 5.0
"""Seconds between SIGTERM and SIGKILL when worker processes are terminated."""


@dataclass(frozen=True, slots=True)
class RowProgress:
    """A message from a worker: it has explained `count` more rows of its shard."""

    count: int


@dataclass(frozen=True, slots=True)
class ProcessBackend:
    """A `WorkerBackend` whose workers are processes of this machine.

    A worker is identified by the parent's end of its pipe. The same object serves as the handle of
    a request, because a worker answers one request at a time.

    Attributes:
        spec: What each worker needs in order to open the run.
        advance: Reports progress. Rows are reported while a worker explains them, and taken back
            when its shard ends: the pool then counts the rows of committed shards only.
        processes: The running processes, by pipe.
        reported_rows: Number of rows reported for the current shard, by pipe.
        replies: Replies that have arrived but were not fetched by `result`, by pipe.
    """

    spec: WorkerSpec
    advance: Callable[[int], None]
    processes: dict[Connection, SpawnProcess] = field(default_factory=dict)
    reported_rows: Counter[Connection] = field(default_factory=Counter)
    replies: dict[Connection, object] = field(default_factory=dict)

    def start(self) -> tuple[Connection, Connection]:
        """Start a worker process; return its pipe, both as the worker and as the handle.

        The process never receives SIGINT: a terminal sends it to all processes of a command, and
        this process handles it for all of them.
        """
        context = get_context("spawn")
        parent_end, worker_end = context.Pipe()
        process = context.Process(
            target=_worker_main, args=(self.spec, worker_end, os.getpid()), daemon=True
        )
        ensure_running()  # starting the resource tracker unblocks signals, so it must come first
        signals.block_interrupts()
        try:
            process.start()
        finally:
            signals.block_interrupts(block=False)
        worker_end.close()
        self.processes[parent_end] = process
        return parent_end, parent_end

    def submit(self, worker: Any, number: int) -> Connection:  # noqa: ANN401
        """Send a shard number to a worker.

        Args:
            worker: The pipe to the worker.
            number: Number of the shard.

        Returns:
            The handle of the reply: the pipe. If the process has died, `wait` returns it.
        """
        pipe: Connection = worker
        with suppress(ConnectionError):
            pipe.send(number)
        return pipe

    def wait(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Wait up to `POLL_INTERVAL` seconds; return the pipes of workers that replied or died."""
        return [pipe for pipe in wait(handles, timeout=POLL_INTERVAL) if self._receive(pipe)]

    def _receive(self, pipe: Any) -> bool:  # noqa: ANN401
        """Read one message from a worker; return whether `result` can now be called."""
        try:
            message: object = pipe.recv()
        except (EOFError, ConnectionError):
            process = self.processes[pipe]
            process.join()
            message = WorkerLostError(_exit_reason(process.exitcode), worker_died=True)
        if isinstance(message, RowProgress):
            self.reported_rows[pipe] += message.count
            self.advance(message.count)
            return False
        self.replies[pipe] = message
        return True

    def result(self, handle: Any) -> object:  # noqa: ANN401
        """Return the reply of a worker, and take back the rows that it reported.

        Raises:
            WorkerLostError: if the process died.
        """
        self.advance(-self.reported_rows.pop(handle, 0))
        reply = self.replies.pop(handle)
        if isinstance(reply, WorkerLostError):
            raise reply
        return reply

    def is_alive(self, _node_id: str) -> bool:
        """Return True: all workers run on this machine."""
        return True

    def check_capacity(self) -> None:
        """Do nothing: this machine can always start one more process."""

    def terminate(self, workers: Sequence[Any]) -> None:
        """Send SIGTERM to all processes, and SIGKILL to those that do not end in time.

        SIGTERM comes first so that a worker can write to the crash journal that it stops its shard.
        """
        for pipe in workers:
            self.processes[pipe].terminate()
        deadline = time.monotonic() + TERMINATE_TIMEOUT
        for pipe in workers:
            process = self.processes[pipe]
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.join()
            pipe.close()
            del self.processes[pipe]


@contextmanager
def open_process_backend(
    spec: WorkerSpec, *, advance: Callable[[int], None]
) -> Iterator[ProcessBackend]:
    """Yield a backend, and terminate all its processes at the end.

    Args:
        spec: What each worker needs in order to open the run.
        advance: Reports progress, in rows.
    """
    backend = ProcessBackend(spec, advance)
    try:
        yield backend
    finally:
        backend.terminate([*backend.processes])


def _exit_reason(code: int | None) -> str:
    """Return how a process ended, for a message."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


@dataclass(slots=True)
class _ProgressReporter:
    """Sends the number of explained rows to the parent process, at most once per `POLL_INTERVAL`.

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
        if now - self.last_report > POLL_INTERVAL:
            self.pipe.send(RowProgress(self.unreported_rows))
            self.unreported_rows, self.last_report = 0, now


def _worker_main(spec: WorkerSpec, pipe: Connection, parent_pid: int) -> None:
    """Run a worker in this process until it is terminated or the parent process ends."""
    signals.install_handlers()
    signals.raise_from_now_on()
    reporter = _ProgressReporter(pipe, parent_pid)
    worker = Worker(spec, done=reporter)
    try:
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
        pipe.send(_picklable_error(error))


def _picklable_error(error: BaseException) -> InternalError:
    """Return an `InternalError` with the same message; its note is the traceback.

    The parent process may not be able to unpickle the original, whose class may be a user's.
    """
    picklable = InternalError.of(error_text(error))
    picklable.add_note("".join(traceback.format_exception(error)))
    return picklable
