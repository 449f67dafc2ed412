"""A worker: it loads the model once, then explains the shards that a worker pool assigns to it.

A worker shares a run with the other processes only through the file system. So it checks first
that it sees the same run folder and the same input.
"""

import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from saliency_cli.attribution.engine import Engine
from saliency_cli.errors import SaliencyError, UsageError
from saliency_cli.inputs.file_identity import FileIdentity
from saliency_cli.runs.folder_lock import Lock
from saliency_cli.runs.manifest import describe, differences, with_planned_choices
from saliency_cli.runs.receipts import is_committed
from saliency_cli.runs.request import Request
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.setup import join_run
from saliency_cli.runs.shard_runner import RowCallback, RunContext, explain_shard
from saliency_cli.safe_text import visible

SHARD_LOCK_TIMEOUT = 180.0
"""Seconds to wait for a shard that another process has locked. If that process was on a machine
that died, the lock lasts until the NFS server drops the machine: 90 seconds by default."""
RETRY_INTERVAL = 0.2
"""Seconds between two attempts to lock the shard."""
Failure: TypeAlias = SaliencyError | OSError
"""An error that a worker returns. A raised one would reach the pool wrapped in another exception
(Ray), or without its type (processes)."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker needs in order to open the run.

    Attributes:
        request: The request of the process that started the run.
        cwd: The working directory of that process; relative paths start there.
        input: The input's file as it was planned.
        folder_id: Random ID, in the file `RunFolder.token`, by which a worker on another machine
            recognizes the run folder. None on the machine that planned the run.
        replicas: Maximum number of batches that the worker computes at the same time; None: as
            many as it has cores.
    """

    request: Request
    cwd: Path
    input: FileIdentity | None
    folder_id: str | None = None
    replicas: int | None = None


class Worker:
    """Explains shards of a run that another process has planned.

    `SaliencyError` and `OSError` are returned and not raised; see `Failure`.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        engine: Engine | None = None,
        done: RowCallback = lambda _row: None,
    ) -> None:
        self._spec = spec
        self._engine = engine  # None: the worker loads the model
        self._done = done
        self._resources = ExitStack()
        self._run: tuple[RunContext, Lock] | None = None

    def prepare(self) -> str | Failure:
        """Open the run, and load the model unless this process was forked with it.

        Returns:
            The ID of the node that the worker is on (empty for a process of this machine), or the
            error.
        """
        try:
            self._open_run()
        except (SaliencyError, OSError) as error:
            return error
        return ""

    def explain_shard(self, number: int) -> bool | Failure:
        """Commit a shard. `prepare` must have succeeded.

        Returns:
            True if the shard is committed, False if another process kept it locked for
            `SHARD_LOCK_TIMEOUT` seconds, or the error.
        """
        try:
            return self._commit_when_unlocked(number)
        except (SaliencyError, OSError) as error:
            return error

    def _open_run(self) -> None:
        """Open the run, and check that this process would compute the same numbers."""
        spec = self._spec
        with suppress(OSError):  # if all paths are absolute, the directory need not exist here
            os.chdir(spec.cwd)
        if spec.folder_id is not None:
            _check_folder(RunFolder(spec.request.output.folder), spec.folder_id)
        context, lock = self._resources.enter_context(join_run(spec.request, self._engine))
        _check_input(context, spec)
        _check_same_numbers(context, spec.request)
        replicas = min(context.engine.replicas, spec.replicas or context.engine.replicas)
        engine = replace(context.engine, replicas=replicas)
        self._run = replace(context, engine=engine), lock

    def _commit_when_unlocked(self, number: int) -> bool:
        """Commit a shard as soon as it can be locked; return False after the timeout."""
        assert self._run is not None  # noqa: S101 - the pool assigns shards after `prepare` only
        context, lock = self._run
        deadline = time.monotonic() + SHARD_LOCK_TIMEOUT
        while time.monotonic() < deadline:
            with lock.shard(number) as acquired:
                if acquired:
                    if not is_committed(context.folder, context.manifest, number):
                        explain_shard(context, number, done=self._done)
                    return True
            time.sleep(RETRY_INTERVAL)
        return False


def _check_folder(folder: RunFolder, folder_id: str) -> None:
    """Raise `UsageError` if this is not the folder in which the run was started."""
    with suppress(OSError):
        if folder.identity.read_text(encoding="utf-8") == folder_id:
            return
    raise UsageError(
        f"{visible(str(folder.path))} is not the same folder as where the run was started",
        "put --out on storage that every node has at the same path",
    )


def _check_input(context: RunContext, spec: WorkerSpec) -> None:
    """Raise `UsageError` if the worker has opened another input than the one that was planned.

    On another machine the whole content is compared with the hash in the manifest: file systems
    are mounted under other numbers, or the file is a copy. Without a hash, the input is a stream
    that was read to a limit; its copy is in the run folder, and its size is compared.
    """
    source, planned = context.source, context.manifest["hashes"]["input"]
    if spec.folder_id is None:
        same = source.identity == spec.input
    else:
        sizes = [each and each.size for each in (source.identity, spec.input)]
        same = sizes[0] == sizes[1] and planned in {None, source.sha256()}
        source.check_unchanged()
    if not same:
        raise UsageError(
            f"{visible(source.name)} is another input than the one the run started with",
            "explain it again with --overwrite",
        )


def _check_same_numbers(context: RunContext, request: Request) -> None:
    """Raise `UsageError` if this machine would compute other scores than the manifest describes."""
    request = with_planned_choices(request, context.manifest)
    found = differences(context.manifest, describe(request, context.engine, context.source))
    if found:
        raise UsageError(
            f"a worker would compute different numbers: {'; '.join(found[:4])}",
            "use the same files, library versions and kind of processor for all workers",
        )
