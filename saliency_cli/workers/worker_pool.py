"""A pool of workers: it starts them, assigns shards, replaces dead ones and terminates them.

A worker has one shard at a time, so memory grows with the number of workers and not with the number
of shards. A worker notes the rows that it works on in the shard's crash journal. The pool records
the worker's death there, and the next worker of the shard acts on what the journal says.
"""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from saliency_cli import signals
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.runs.crash_journal import record_cancelled, record_crash
from saliency_cli.workers.interface import ShardWork

POLL_INTERVAL = 0.2
"""Maximum seconds to wait for a reply before signals and timeouts are checked."""
READY_TIMEOUT = 600.0
"""Seconds without any ready worker after which the run ends with an error."""
MAX_LOSSES = 5
"""How often a shard may lose its worker without evidence against a row: the machine was lost too,
or the worker died before its first text."""
MAX_STARTUP_FAILURES = 3
"""Maximum number of consecutive start-up failures per worker slot. A worker that was starting on a
node when that node was lost counts as well."""


class WorkerLostError(Exception):
    """A worker is gone and will not reply.

    `worker_died` is True if the worker itself is known to have died, perhaps with its node. It
    is False for any other loss, such as an unreachable node.
    """

    def __init__(self, reason: str, *, worker_died: bool) -> None:
        super().__init__(reason)
        self.worker_died = worker_died


class WorkerBackend(Protocol):
    """Starts workers and exchanges messages with them.

    A handle refers to a request that a worker has not answered yet. Workers and handles are opaque
    to the pool; handles are hashable.
    """

    def start(self) -> tuple[object, object]:
        """Start a worker; return it and the handle of its first reply, see `Worker.prepare`."""

    def submit(self, worker: object, number: int) -> object:
        """Ask a worker to commit a shard.

        Args:
            worker: A worker that is ready and has no shard.
            number: Number of the shard.

        Returns:
            The handle of the reply, see `Worker.explain_shard`.
        """

    def wait(self, handles: Sequence[object]) -> Sequence[object]:
        """Wait up to `POLL_INTERVAL` seconds; return the handles whose reply has arrived."""

    def result(self, handle: object) -> object:
        """Return the reply to a request.

        Raises:
            WorkerLostError: if the worker died without a reply.
        """

    def is_alive(self, node_id: str) -> bool:
        """Return whether a node, and not only its worker, is still part of the cluster."""

    def check_capacity(self) -> None:
        """Raise `UsageError` if no node is large enough for a worker, even when it is idle."""

    def terminate(self, workers: Sequence[object]) -> None:
        """End workers at once, also in the middle of a shard."""


@dataclass(frozen=True, slots=True)
class ReadyWorker:
    """A worker that has loaded the model, and the ID of the node that it runs on."""

    worker: object
    node_id: str


@dataclass(frozen=True, slots=True)
class AssignedShard:
    """A shard that a worker is explaining.

    Attributes:
        assignee: The worker.
        number: Number of the shard.
        journal_size: Size of the shard's crash journal in bytes when the shard was assigned. A
            longer journal proves that the worker has begun with its rows.
    """

    assignee: ReadyWorker
    number: int
    journal_size: int


class WorkerPool:
    """Up to `size` workers that together commit all shards of a `ShardWork`."""

    def __init__(self, work: ShardWork, backend: WorkerBackend, *, size: int) -> None:
        self._work, self._backend, self._size = work, backend, size
        self._starting: dict[object, object] = {}  # handle -> worker
        self._idle: list[ReadyWorker] = []
        self._assigned: dict[object, AssignedShard] = {}  # handle -> shard
        self._queue: deque[int] = deque()
        self._losses: Counter[int] = Counter()  # by shard number
        self._startup_failures = 0
        self._last_ready = time.monotonic()

    def explain_shards(self) -> None:
        """Commit all shards, then terminate the workers.

        Raises:
            SaliencyError: if a shard cannot be explained or written, or no worker can be started.
        """
        try:
            while self._assign_shards():
                self._start_workers()
                replied = self._backend.wait([*self._starting, *self._assigned])
                signals.check()
                for handle in replied:
                    self._handle_reply(handle)
                self._check_ready_timeout()
        finally:
            self._terminate_all()

    def _assign_shards(self) -> bool:
        """Assign queued shards to idle workers; return whether any shard is not committed yet."""
        self._queue.extend(islice(self._work.numbers, max(0, self._size - len(self._queue))))
        while self._queue and self._idle:
            ready, number = self._idle.pop(), self._queue.popleft()
            journal_size = _file_size(self._work.context.folder.journal(number))
            handle = self._backend.submit(ready.worker, number)
            self._assigned[handle] = AssignedShard(ready, number, journal_size)
        return bool(self._queue or self._assigned)

    def _start_workers(self) -> None:
        """Fill free worker slots, but start no more workers than there are shards for."""
        wanted = min(self._size, len(self._queue) + len(self._assigned))
        while len(self._starting) + len(self._idle) + len(self._assigned) < wanted:
            worker, handle = self._backend.start()
            self._starting[handle] = worker

    def _handle_reply(self, handle: object) -> None:
        """Act on a worker's reply: it is ready, its shard is committed, it failed, or it died."""
        shard = self._assigned.pop(handle, None)
        worker = self._starting.pop(handle) if shard is None else shard.assignee.worker
        try:
            reply = self._backend.result(handle)
        except WorkerLostError as lost:
            self._backend.terminate([worker])
            self._count_startup_failure(lost) if shard is None else self._requeue(shard, lost)
            return
        if isinstance(reply, Exception):
            raise reply
        if shard is None:
            self._startup_failures = 0
            self._idle.append(ReadyWorker(worker, str(reply)))
        else:
            self._finish_shard(shard, committed=bool(reply))

    def _finish_shard(self, shard: AssignedShard, *, committed: bool) -> None:
        if not committed:
            raise UsageError(
                f"another process has locked shard {shard.number}",
                "wait until it has finished, then add --resume",
            )
        self._idle.append(shard.assignee)
        self._work.advance(self._work.context.plan.size(shard.number))

    def _count_startup_failure(self, lost: WorkerLostError) -> None:
        """Count a worker that died before it was ready.

        Raises:
            CheckpointError: if too many died in a row.
        """
        self._startup_failures += 1
        if self._startup_failures >= MAX_STARTUP_FAILURES * self._size:
            raise CheckpointError(
                f"{self._startup_failures} workers died before they were ready: {lost}",
                "give each worker more memory; on a cluster, install saliency-cli on every node",
            )

    def _requeue(self, shard: AssignedShard, lost: WorkerLostError) -> None:
        """Record that a worker died, and queue its shard again.

        Raises:
            CheckpointError: if the shard lost too many workers without evidence against a row.
        """
        path = self._work.context.folder.journal(shard.number)
        if self._is_crash(shard, lost):
            record_crash(path)
        else:
            self._losses[shard.number] += 1
        if self._losses[shard.number] >= MAX_LOSSES:
            raise CheckpointError(
                f"shard {shard.number} lost {MAX_LOSSES} workers, and no row can be identified "
                "as the cause",
                "add --resume to resume the run",
            )
        self._queue.append(shard.number)

    def _is_crash(self, shard: AssignedShard, lost: WorkerLostError) -> bool:
        """Whether a worker died while it explained rows, and its node is still there."""
        return (
            lost.worker_died
            and self._backend.is_alive(shard.assignee.node_id)
            and _file_size(self._work.context.folder.journal(shard.number)) > shard.journal_size
        )

    def _check_ready_timeout(self) -> None:
        """Raise `UsageError` if no worker has been ready for `READY_TIMEOUT` seconds."""
        if self._idle or self._assigned:
            self._last_ready = time.monotonic()
            return
        self._backend.check_capacity()
        if time.monotonic() - self._last_ready > READY_TIMEOUT:
            raise UsageError(
                f"no worker was ready within {READY_TIMEOUT:.0f} seconds",
                "check whether other jobs use the machines; add --resume to resume the run",
            )

    def _terminate_all(self) -> None:
        """Terminate all workers, and record their shards as cancelled, not as crashed."""
        ready = [*self._idle, *(shard.assignee for shard in self._assigned.values())]
        self._backend.terminate([*self._starting.values(), *(each.worker for each in ready)])
        for shard in self._assigned.values():
            record_cancelled(self._work.context.folder.journal(shard.number))


def _file_size(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none.

    The file is read because opening it makes an NFS client refresh its attributes (close-to-open
    consistency, nfs(5)); `stat` may return cached ones.
    """
    return len(path.read_bytes()) if path.exists() else 0
