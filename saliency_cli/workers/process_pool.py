"""Workers that are processes on this machine."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from saliency_cli.workers.launchers import Launcher, WorkerProcess
from saliency_cli.workers.worker_pool import POLL_INTERVAL, WorkerLostError
from saliency_cli.workers.worker_process import RowProgress

TERMINATE_TIMEOUT = 5.0
"""Seconds between SIGTERM and SIGKILL when worker processes are terminated."""


@dataclass(frozen=True, slots=True)
class ProcessBackend:
    """A `WorkerBackend` whose workers are processes of this machine.

    A worker is identified by the parent's end of its pipe. The same object serves as the handle of
    a request, because a worker answers one request at a time.

    Attributes:
        launcher: Starts the processes.
        advance: Reports progress. Rows are reported while a worker explains them, and taken back
            when its shard ends: the pool then counts the rows of committed shards only.
        processes: The running processes, by pipe.
        reported_rows: Number of rows reported for the current shard, by pipe.
        replies: Replies that have arrived but were not fetched by `result`, by pipe.
    """

    launcher: Launcher
    advance: Callable[[int], None]
    processes: dict[Connection, WorkerProcess] = field(default_factory=dict)
    reported_rows: Counter[Connection] = field(default_factory=Counter)
    replies: dict[Connection, object] = field(default_factory=dict)

    def start(self) -> tuple[Connection, Connection]:
        """Start a worker process; return its pipe, both as the worker and as the handle."""
        parent_end, worker_end = Pipe()
        with worker_end:
            self.processes[parent_end] = self.launcher.start(worker_end)
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
    launcher: Launcher, *, advance: Callable[[int], None]
) -> Iterator[ProcessBackend]:
    """Yield a backend, and terminate all its processes at the end.

    Args:
        launcher: Starts the processes.
        advance: Reports progress, in rows.
    """
    backend = ProcessBackend(launcher, advance)
    try:
        yield backend
    finally:
        backend.terminate([*backend.processes])


def _exit_reason(code: int | None) -> str:
    """Return how a process ended, for a message."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
