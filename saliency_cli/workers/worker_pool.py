"""The workers of a run: hired, given shards, replaced when they die, dismissed.

A worker is at one shard at a time, so what is on its way grows with the workers and not with the
shards. What a worker is at is in the shard's journal; its death is noted there, and the worker that
has the shard next follows the journal.
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

POLL = 0.2
"""Seconds to wait for an answer before looking at anything else."""
PATIENCE = 600.0
"""Seconds without any worker that is ready, after which it is said that none will be."""
MOST_LOSSES = 5
"""Times that a shard's worker is lost without a proof against a row: its machine went with it, or
it died before its first text."""
MOST_STILLBORN = 3
"""Workers in a row, for each place, that die before they are ready; those that were on their way to
a node when it was lost are among them."""


class WorkerLostError(Exception):
    """A worker will not answer any more; `itself`: it died, and not its whole machine with it."""

    def __init__(self, reason: str, *, itself: bool) -> None:
        super().__init__(reason)
        self.itself = itself


class Agency(Protocol):
    """Where workers come from. A call is a question to a worker, until that answers it."""

    def hire(self) -> tuple[object, object]:
        """Start a worker; return it, and the call that it answers with its place when ready."""

    def ask(self, worker: object, number: int) -> object:
        """Have a worker commit a shard; return the call, which it answers as `Worker` does."""

    def answered(self, calls: Sequence[object]) -> Sequence[object]:
        """Wait for up to `POLL` seconds; return those of the calls that are answered."""

    def answer(self, call: object) -> object:
        """Return the answer to a call.

        Raises:
            WorkerLostError: there will be none.
        """

    def stands(self, place: str) -> bool:
        """Say whether the machine where a worker was is still there."""

    def check_room(self) -> None:
        """See that there is room for a worker, whoever uses it now.

        Raises:
            UsageError: there is none.
        """

    def dismiss(self, workers: Sequence[object]) -> None:
        """End workers at once, whatever they are at."""


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that is ready, and the place that it is at."""

    worker: object
    place: str


@dataclass(frozen=True, slots=True)
class Task:
    """A shard that a worker is at; its journal was so long when it was given."""

    member: Member
    number: int
    written: int


class Crew:
    """Up to `size` workers of an agency, who commit all shards of some work."""

    def __init__(self, work: ShardWork, agency: Agency, *, size: int) -> None:
        self._work, self._agency, self._size = work, agency, size
        self._coming: dict[object, object] = {}
        self._idle: list[Member] = []
        self._tasks: dict[object, Task] = {}
        self._waiting: deque[int] = deque()
        self._losses: Counter[int] = Counter()
        self._stillborn = 0
        self._since = time.monotonic()

    def explain(self) -> None:
        """Commit the shards.

        Raises:
            SaliencyError: one cannot be explained or written, or no worker is left.
        """
        try:
            while self._give():
                self._staff()
                done = self._agency.answered([*self._coming, *self._tasks])
                signals.check()
                for call in done:
                    self._answered(call)
                self._be_patient()
        finally:
            self._dismiss()

    def _give(self) -> bool:
        """Give shards to who is idle; say whether any is left, or on its way."""
        self._waiting.extend(islice(self._work.numbers, max(0, self._size - len(self._waiting))))
        while self._waiting and self._idle:
            member, number = self._idle.pop(), self._waiting.popleft()
            written = _length(self._work.context.folder.journal(number))
            call = self._agency.ask(member.worker, number)
            self._tasks[call] = Task(member, number, written)
        return bool(self._waiting or self._tasks)

    def _staff(self) -> None:
        """Hire for every place that is free, if there is a shard for it."""
        wanted = min(self._size, len(self._waiting) + len(self._tasks))
        while len(self._coming) + len(self._idle) + len(self._tasks) < wanted:
            worker, call = self._agency.hire()
            self._coming[call] = worker

    def _answered(self, call: object) -> None:
        task = self._tasks.pop(call, None)
        worker = self._coming.pop(call) if task is None else task.member.worker
        try:
            answer = self._agency.answer(call)
        except WorkerLostError as lost:
            self._agency.dismiss([worker])
            self._died_early(lost) if task is None else self._died(task, lost)
            return
        if isinstance(answer, Exception):
            raise answer
        if task is None:
            self._stillborn = 0
            self._idle.append(Member(worker, str(answer)))
        else:
            self._finished(task, had=bool(answer))

    def _finished(self, task: Task, *, had: bool) -> None:
        if not had:
            raise UsageError(
                f"another process is at shard {task.number}",
                "wait until it is done, then add --resume",
            )
        self._idle.append(task.member)
        self._work.advance(self._work.context.plan.size(task.number))

    def _died_early(self, lost: WorkerLostError) -> None:
        """Count the death of a worker that was not ready.

        Raises:
            CheckpointError: there were too many.
        """
        self._stillborn += 1
        if self._stillborn >= MOST_STILLBORN * self._size:
            raise CheckpointError(
                f"{self._stillborn} workers died before they were ready: {lost}",
                "give them more memory; on a cluster, saliency is to be installed on every node",
            )

    def _died(self, task: Task, lost: WorkerLostError) -> None:
        """Note the death of a worker over its shard, and have that done again.

        Raises:
            CheckpointError: too many died, and it is no row's fault.
        """
        path = self._work.context.folder.journal(task.number)
        if self._is_proof(task, lost):
            record_crash(path)
        else:
            self._losses[task.number] += 1
        if self._losses[task.number] >= MOST_LOSSES:
            raise CheckpointError(
                f"shard {task.number} has lost {MOST_LOSSES} workers, and no row is to blame",
                "--resume goes on with the run",
            )
        self._waiting.append(task.number)

    def _is_proof(self, task: Task, lost: WorkerLostError) -> bool:
        """Say whether a worker died over its rows, and not because its whole machine was lost."""
        return (
            lost.itself
            and self._agency.stands(task.member.place)
            and _length(self._work.context.folder.journal(task.number)) > task.written
        )

    def _be_patient(self) -> None:
        """Wait for a worker to be ready, but not for ever.

        Raises:
            UsageError: there is none.
        """
        if self._idle or self._tasks:
            self._since = time.monotonic()
            return
        self._agency.check_room()
        if time.monotonic() - self._since > PATIENCE:
            raise UsageError(
                f"no worker was ready within {PATIENCE:.0f} seconds",
                "see whether others have the machines; --resume goes on with the run",
            )

    def _dismiss(self) -> None:
        """End the workers; a shard that one of them is at is given up, which is no death."""
        members = [*self._idle, *(task.member for task in self._tasks.values())]
        self._agency.dismiss([*self._coming.values(), *(member.worker for member in members)])
        for task in self._tasks.values():
            record_cancelled(self._work.context.folder.journal(task.number))


def _length(path: Path) -> int:
    """Return how long a file is; opening it has NFS look anew."""
    return len(path.read_bytes()) if path.exists() else 0
