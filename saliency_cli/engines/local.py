"""The local engine: this process explains its shards one after the other.

A shard that has killed two processes is explained by children, whose deaths this one survives.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running

from saliency_cli import signals
from saliency_cli.engines.work import Explainer, Work
from saliency_cli.errors import CheckpointError, Interrupted, SaliencyError, UsageError
from saliency_cli.escapes import listed
from saliency_cli.jobs import joined
from saliency_cli.journal import saw_death, suspicious
from saliency_cli.records import BadRow, Row
from saliency_cli.settings import EngineChoice, Request
from saliency_cli.shards import Job, explain_shard

WAIT = 60.0
"""Seconds to wait for shards that another process is at; one that died has let go of them."""
PAUSE = 0.2


@contextmanager
def local_engine(_choice: EngineChoice) -> Iterator[Explainer]:
    """Explain shards in this process, which needs nothing beforehand."""
    yield explain_locally


def explain_locally(work: Work) -> None:
    """Commit the shards, one after the other.

    Raises:
        SaliencyError: one of them cannot be explained, or written.
    """
    job, advance = work.job, work.advance

    def take(number: int) -> bool:
        if suspicious(job.folder.journal(number)):
            had = _explained_by_children(job, number, request=work.request)
            advance(job.plan.size(number) if had else 0)
            return had
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


def _explained_by_children(job: Job, number: int, *, request: Request) -> bool:
    """Have children explain a shard until one lives; say whether it could be had."""
    path = job.folder.journal(number)
    while True:
        before = path.stat().st_size
        outcome = _ask_child(request, number)
        if isinstance(outcome, SaliencyError):
            raise outcome
        if outcome is not None:
            return outcome
        if path.stat().st_size == before:
            raise CheckpointError(f"shard {number}: the process dies before its first text")
        saw_death(path)


def _ask_child(request: Request, number: int) -> bool | SaliencyError | None:
    """Return what a child says of a shard, or None if it dies over it."""
    context = get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    orders = (request, number, sending, os.getpid())
    child = context.Process(target=_explain_alone, args=orders, daemon=True)
    ensure_running()  # which unblocks signals
    signals.block_interrupts()
    try:
        child.start()
    finally:
        signals.block_interrupts(block=False)
    sending.close()
    try:
        outcome: bool | SaliencyError = receiving.recv()
        child.join()
    except EOFError:
        return None
    else:
        return outcome
    finally:
        child.terminate()
        child.join()


def _explain_alone(request: Request, number: int, answer: Connection, parent: int) -> None:
    """Explain a shard in a process of its own, as long as the one that asked for it lives."""

    def go_on(_row: Row | BadRow | None = None) -> None:
        if os.getppid() != parent:
            raise SystemExit(1)

    try:
        signals.catch()
        signals.unwind()
        go_on()  # whoever asked may have died while torch was imported
        with joined(request) as (job, lock), lock.shard(number) as had:
            if had:
                explain_shard(job, number, done=go_on)
        answer.send(had)
    except SaliencyError as error:
        answer.send(error)
    except Interrupted:
        raise SystemExit(1) from None
