"""The workers of a run on a Ray cluster: hired, given shards, replaced when they die, dismissed.

A worker is at one shard at a time, so what is on its way grows with the workers and not with the
shards. What a worker is at is in the shard's journal; its death is noted there, and the worker that
has the shard next follows the journal.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_cli import signals
from saliency_cli.engines.work import Work
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.escapes import excerpt
from saliency_cli.journal import gave_up, saw_death

POLL = 0.2
PATIENCE = 600.0
"""Seconds without any worker that is ready, after which it is said that none will be."""
MOST_LOSSES = 5
"""Times that a shard's worker is lost without a proof against a row: its machine went with it, or
it died before its first text."""
MOST_STILLBORN = 3
"""Workers in a row, for each place, that die before they are ready; those that were on their way to
a node when it was lost are among them."""


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that is ready, and the node that it is on."""

    worker: Any
    node: str


@dataclass(frozen=True, slots=True)
class Task:
    """A shard that a worker is at; its journal was so long when it was given."""

    member: Member
    number: int
    written: int


class Crew:
    """Up to `size` workers, each hired by `hire`, who commit all shards of some work.

    A worker needs `needs` of each resource of its node.
    """

    def __init__(
        self,
        ray: Any,  # noqa: ANN401 - the module, an extra
        work: Work,
        *,
        hire: Callable[[], Any],
        size: int,
        needs: Mapping[str, float],
    ) -> None:
        self._ray, self._work, self._hire = ray, work, hire
        self._size, self._needs = size, needs
        self._coming: dict[Any, Any] = {}
        self._idle: list[Member] = []
        self._tasks: dict[Any, Task] = {}
        self._again: deque[int] = deque()
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
                running = [*self._coming, *self._tasks]
                done, _ = self._ray.wait(running, timeout=POLL)
                signals.check()
                for reference in done:
                    self._returned(reference)
                self._be_patient()
        finally:
            self._dismiss()

    def _give(self) -> bool:
        """Give shards to who is idle; say whether any is left, or on its way."""
        while (number := self._next()) is not None:
            if not self._idle:
                self._again.appendleft(number)
                return True
            member = self._idle.pop()
            written = _length(self._work.job.folder.journal(number))
            reference = member.worker.explain.remote(number)
            self._tasks[reference] = Task(member, number, written)
        return bool(self._tasks)

    def _next(self) -> int | None:
        return self._again.popleft() if self._again else next(self._work.numbers, None)

    def _staff(self) -> None:
        """Hire for every place that is free."""
        while len(self._coming) + len(self._idle) + len(self._tasks) < self._size:
            worker = self._hire()
            self._coming[worker.ready.remote()] = worker

    def _returned(self, reference: Any) -> None:  # noqa: ANN401
        task = self._tasks.pop(reference, None)
        worker = self._coming.pop(reference) if task is None else task.member.worker
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            self._ray.kill(worker)
            self._died_early(error) if task is None else self._died(task, error)
            return
        if isinstance(outcome, Exception):
            raise outcome
        if task is None:
            self._stillborn = 0
            self._idle.append(Member(worker, outcome))
        else:
            self._finished(task, had=outcome)

    def _finished(self, task: Task, *, had: bool) -> None:
        if not had:
            raise UsageError(
                f"another process is at shard {task.number}",
                "wait until it is done, then add --resume",
            )
        self._idle.append(task.member)
        self._work.advance(self._work.job.plan.size(task.number))

    def _died_early(self, error: Exception) -> None:
        """Count the death of a worker that was not ready.

        Raises:
            CheckpointError: there were too many.
        """
        self._stillborn += 1
        if self._stillborn >= MOST_STILLBORN * self._size:
            reason = excerpt(str(error).strip().splitlines()[-1])
            raise CheckpointError(
                f"{self._stillborn} workers died before they were ready; Ray says {reason}",
                "give them more memory, and see that saliency is installed on every node",
            )

    def _died(self, task: Task, error: Exception) -> None:
        """Note the death of a worker over its shard, and have that done again.

        Raises:
            CheckpointError: too many died, and it is no row's fault.
        """
        path = self._work.job.folder.journal(task.number)
        if self._is_proof(task, error):
            saw_death(path)
        else:
            self._losses[task.number] += 1
        if self._losses[task.number] >= MOST_LOSSES:
            raise CheckpointError(
                f"shard {task.number} has lost {MOST_LOSSES} workers, and no row is to blame",
                "--resume goes on with the run",
            )
        self._again.append(task.number)

    def _is_proof(self, task: Task, error: Exception) -> bool:
        """Say whether a worker died over its rows, and not because its whole node was lost."""
        alive = {node["NodeID"] for node in self._ray.nodes() if node["Alive"]}
        return (
            isinstance(error, self._ray.exceptions.ActorDiedError)
            and task.member.node in alive
            and _length(self._work.job.folder.journal(task.number)) > task.written
        )

    def _be_patient(self) -> None:
        """Wait for a worker to be ready, but not for ever.

        Raises:
            UsageError: there is none.
        """
        if self._idle or self._tasks:
            self._since = time.monotonic()
            return
        check_room(self._ray, self._needs)
        if time.monotonic() - self._since > PATIENCE:
            raise UsageError(
                f"no worker was ready within {PATIENCE:.0f} seconds",
                "see whether other jobs have the cluster; --resume goes on with the run",
            )

    def _dismiss(self) -> None:
        """End the workers; a shard that one of them is at is given up, which is no death."""
        members = [*self._idle, *(task.member for task in self._tasks.values())]
        for worker in (*self._coming.values(), *(member.worker for member in members)):
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(worker)
        for task in self._tasks.values():
            gave_up(self._work.job.folder.journal(task.number))


def check_room(ray: Any, needs: Mapping[str, float]) -> int:  # noqa: ANN401
    """Return how many workers the nodes have room for, whoever uses them now.

    Raises:
        UsageError: none has room for one.
    """
    alive = (node["Resources"] for node in ray.nodes() if node["Alive"])
    room = sum(
        min(int(has.get(name, 0) / amount) for name, amount in needs.items() if amount)
        for has in alive
    )
    if room:
        return room
    wanted = " and ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)
    raise UsageError(
        f"no node of the Ray cluster has {wanted} for a worker",
        "give fewer with --cpus-per-worker or --gpus-per-worker, or add nodes",
    )


def _length(path: Path) -> int:
    """Return how long a file is; opening it has NFS look anew."""
    return len(path.read_bytes()) if path.exists() else 0
