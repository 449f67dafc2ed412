"""The local executor: it commits shards in this process, or in a pool of processes.

A shard whose rows may have killed two processes is always explained by a separate worker process,
so that another crash does not end this process.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from saliency_cli.errors import UsageError
from saliency_cli.runs.crash_journal import needs_isolation
from saliency_cli.runs.shard_runner import explain_shard
from saliency_cli.safe_text import listed
from saliency_cli.settings import ExecutionChoice
from saliency_cli.workers.interface import Executor, ShardWork
from saliency_cli.workers.launchers import Launcher, Spawner, worker_spec
from saliency_cli.workers.process_pool import open_process_backend
from saliency_cli.workers.worker_pool import WorkerPool

BUSY_SHARDS_TIMEOUT = 60.0
"""Seconds to wait for shards that other processes have locked, counted from the last one that was
released. A process that dies releases its locks at once."""
RETRY_INTERVAL = 0.2
"""Seconds between two attempts to lock these shards."""


@contextmanager
def open_local(_choice: ExecutionChoice) -> Iterator[Executor]:
    """Yield an executor that commits shards on this machine. It needs no preparation."""
    yield explain_locally


def explain_locally(work: ShardWork) -> None:
    """Commit all shards, in this process or in those of the launcher if it starts several.

    Raises:
        SaliencyError: if a shard cannot be explained or written.
    """
    if work.launcher is None or work.launcher.size == 1:
        explain_in_process(work)
    else:
        _explain_in_pool(work, work.launcher)


def _explain_in_pool(work: ShardWork, launcher: Launcher) -> None:
    """Commit all shards with the worker processes of a launcher."""
    with open_process_backend(launcher, advance=work.advance) as backend:
        WorkerPool(work, backend, size=launcher.size).explain_shards()


def explain_in_process(work: ShardWork) -> None:
    """Commit all shards in this process, one after the other.

    A shard with suspected rows goes to a worker process, which may crash.

    Raises:
        SaliencyError: if a shard cannot be explained or written.
    """
    context, advance = work.context, work.advance

    def try_commit(number: int) -> bool:
        if needs_isolation(context.folder.journal(number)):
            launcher = work.launcher or Spawner(worker_spec(work.request, context), size=1)
            _explain_in_pool(replace(work, numbers=iter([number])), launcher)
            return True
        with work.lock.shard(number) as acquired:
            if acquired:
                explain_shard(context, number, done=lambda _row: advance(1))
            return acquired

    commit_all(work.numbers, try_commit)


def commit_all(numbers: Iterable[int], try_commit: Callable[[int], bool]) -> None:
    """Commit each shard, and retry those that another process has locked.

    Args:
        numbers: Numbers of the shards.
        try_commit: Commits a shard and returns True, or returns False if another process has
            locked the shard.

    Raises:
        UsageError: if no locked shard was released for `BUSY_SHARDS_TIMEOUT` seconds.
    """
    busy = [number for number in numbers if not try_commit(number)]
    last_progress = time.monotonic()
    while busy:
        time.sleep(RETRY_INTERVAL)
        still_busy = [number for number in busy if not try_commit(number)]
        if len(still_busy) < len(busy):
            last_progress = time.monotonic()
        elif time.monotonic() - last_progress > BUSY_SHARDS_TIMEOUT:
            raise UsageError(
                f"another process has locked the shards {listed([*map(str, busy)])}",
                "wait until it has finished, then add --resume",
            )
        busy = still_busy
