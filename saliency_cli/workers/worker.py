"""A worker: a process that loads the model once, and explains the shards that it is given.

It sees the run through the file system alone, so that is looked at first.
"""

import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from saliency_cli.errors import SaliencyError, UsageError
from saliency_cli.runs.folder_lock import Lock
from saliency_cli.runs.manifest import describe, differences
from saliency_cli.runs.receipts import is_committed
from saliency_cli.runs.request import Request
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.setup import join_run
from saliency_cli.runs.shard_runner import RowCallback, RunContext, explain_shard
from saliency_cli.safe_text import visible

WAIT = 180.0
"""Seconds to wait for a shard that another process has: one on a machine that died keeps it until
an NFS server forgets that machine, 90 seconds by default."""
PAUSE = 0.2
Failure: TypeAlias = SaliencyError | OSError


@dataclass(frozen=True, slots=True)
class Errand:
    """What a worker is told: the run, where it was started, and how to know that it sees the same.

    `size` is the bytes of the input, `token` what a file in the run's folder holds; on the machine
    that has planned the run there is no need of one.
    """

    request: Request
    cwd: Path
    size: int | None
    token: str | None = None


class Worker:
    """Explains shards of a run that another process has begun; `done` hears of each row.

    What goes wrong is returned: an exception that is raised would come out wrapped.
    """

    def __init__(self, errand: Errand, *, done: RowCallback = lambda _row: None) -> None:
        self._errand = errand
        self._done = done
        self._open = ExitStack()
        self._joined: tuple[RunContext, Lock] | None = None

    def ready(self) -> str | Failure:
        """Load the model; return the name of the place that this is."""
        try:
            self._join()
        except (SaliencyError, OSError) as error:
            return error
        return ""

    def explain(self, number: int) -> bool | Failure:
        """Commit a shard; say whether it could be had."""
        try:
            return self._explained(number)
        except (SaliencyError, OSError) as error:
            return error

    def _join(self) -> None:
        errand = self._errand
        with suppress(OSError):  # where paths are absolute it need not be there
            os.chdir(errand.cwd)
        if errand.token is not None:
            _check_folder(RunFolder(errand.request.output.folder), errand.token)
        job, lock = self._open.enter_context(join_run(errand.request))
        if job.source.size != errand.size:
            raise UsageError(f"{visible(job.source.name)} is another input than where we started")
        _check_alike(job, errand.request)
        self._joined = job, lock

    def _explained(self, number: int) -> bool:
        assert self._joined is not None  # noqa: S101 - shards are given to those who are ready
        job, lock = self._joined
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            with lock.shard(number) as had:
                if had:
                    if not is_committed(job.folder, job.manifest, number):
                        explain_shard(job, number, done=self._done)
                    return True
            time.sleep(PAUSE)
        return False


def _check_folder(folder: RunFolder, token: str) -> None:
    """See that this is the folder that the run was begun in.

    Raises:
        UsageError: it is another one, or none.
    """
    with suppress(OSError):
        if folder.identity.read_text(encoding="utf-8") == token:
            return
    raise UsageError(
        f"{visible(str(folder.path))} is not what it is where the run was started",
        "put --out on storage that every node has at the same path",
    )


def _check_alike(job: RunContext, request: Request) -> None:
    """See that this machine would write the same numbers as the one that planned.

    Raises:
        UsageError: it would not; says what differs.
    """
    found = differences(job.manifest, describe(request, job.engine, job.source))
    if found:
        raise UsageError(
            f"the run cannot be shared: {'; '.join(found[:4])}",
            "all workers need the same files, versions and kind of processor",
        )
