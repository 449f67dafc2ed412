"""The local engine: this process explains its shards one after the other, or has workers do it.

A shard that has killed two processes is explained by a worker, whose death this process survives.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from saliency_cli.errors import UsageError
from saliency_cli.runs.crash_journal import needs_isolation
from saliency_cli.runs.shard_runner import explain_shard
from saliency_cli.safe_text import listed
from saliency_cli.settings import ExecutionChoice
from saliency_cli.workers.interface import Executor, ShardWork
from saliency_cli.workers.process_pool import opened
from saliency_cli.workers.worker import Errand
from saliency_cli.workers.worker_pool import Crew

WAIT = 60.0
"""Seconds to wait for shards that another process is at; one that died has let go of them."""
PAUSE = 0.2


@contextmanager
def open_local(choice: ExecutionChoice) -> Iterator[Executor]:
    """Explain shards on this machine, which needs nothing beforehand."""
    yield partial(explain_locally, processes=choice.processes)


def explain_locally(work: ShardWork, *, processes: int) -> None:
    """Have up to so many processes commit the shards; a single one, or shard, needs only this.

    Raises:
        SaliencyError: one of the shards cannot be explained, or written.
    """
    size = min(processes, len(work.context.plan.positions))
    if size > 1:
        _hire(work, size=size)
    else:
        explain_here(work)


def _hire(work: ShardWork, *, size: int) -> None:
    errand = Errand(work.request, Path.cwd(), work.context.source.size)
    with opened(errand, advance=work.advance) as agency:
        Crew(work, agency, size=size).explain()


def explain_here(work: ShardWork) -> None:
    """Commit the shards, one after the other.

    Raises:
        SaliencyError: one of them cannot be explained, or written.
    """
    job, advance = work.context, work.advance

    def take(number: int) -> bool:
        if needs_isolation(job.folder.journal(number)):
            _hire(replace(work, numbers=iter([number])), size=1)
            return True
        with work.lock.shard(number) as had:
            if had:
                explain_shard(job, number, done=lambda _row: advance(1))
            return had

    take_in_turn(work.numbers, take)


def take_in_turn(numbers: Iterable[int], take: Callable[[int], bool]) -> None:
    """Take each number; come back to those that another process has, and wait for them.

    Raises:
        UsageError: it does not let go of them.
    """
    busy = [number for number in numbers if not take(number)]
    since = time.monotonic()
    while busy:
        time.sleep(PAUSE)
        left = [number for number in busy if not take(number)]
        if len(left) < len(busy):
            since = time.monotonic()
        elif time.monotonic() - since > WAIT:
            raise UsageError(
                f"another process is at the shards {listed([*map(str, busy)])}",
                "wait until it is done, then add --resume",
            )
        busy = left
