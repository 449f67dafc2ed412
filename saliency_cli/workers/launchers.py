"""What starts worker processes on this machine: a fork server, or Python's `spawn`.

A spawned process imports torch and loads the model, which takes seconds. A forked one begins with
the loaded model, and shares its memory. Where the model is on CUDA it cannot be used by a forked
process, so there workers are spawned.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from typing import Protocol

import torch

from saliency_cli import signals
from saliency_cli.model.devices import usable_cores
from saliency_cli.runs.crash_journal import needs_isolation
from saliency_cli.runs.request import Request
from saliency_cli.runs.shard_runner import RunContext
from saliency_cli.workers.fork_server import ForkServer, open_fork_server
from saliency_cli.workers.worker import WorkerSpec
from saliency_cli.workers.worker_process import worker_main


class WorkerProcess(Protocol):
    """A worker process, as `multiprocessing` has it."""

    @property
    def exitcode(self) -> int | None:
        """Exit code of a process that was joined, negative for a signal; else None."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the process, up to a number of seconds."""

    def terminate(self) -> None:
        """Send SIGTERM to the process, unless it was joined."""

    def kill(self) -> None:
        """Send SIGKILL to the process, unless it was joined."""


class Launcher(Protocol):
    """Starts worker processes; at most `size` of them run at a time."""

    @property
    def size(self) -> int:
        """Maximum number of worker processes."""

    def start(self, pipe: Connection) -> WorkerProcess:
        """Start a process that runs `worker_main` with a copy of `pipe`.

        The process never receives SIGINT: a terminal sends it to all processes of a command, and
        the run's process handles it for all of them.
        """


@dataclass(frozen=True, slots=True)
class Spawner:
    """Starts each worker as a new Python process, which loads the model."""

    spec: WorkerSpec
    size: int

    def start(self, pipe: Connection) -> WorkerProcess:
        """Start a worker process."""
        process = get_context("spawn").Process(
            target=worker_main,
            args=(self.spec, pipe),
            kwargs={"parent_pid": os.getpid()},
            daemon=True,
        )
        ensure_running()  # starting the resource tracker unblocks signals, so it must come first
        with signals.interrupts_blocked():
            process.start()
        return process


@contextmanager
def open_launcher(
    request: Request, context: RunContext, *, shards: int
) -> Iterator[ForkServer | Spawner | None]:
    """Yield what starts the workers on this machine, or None if this process explains all rows.

    A single worker is for shards that may crash it.

    Call it before a progress bar starts a thread: a process with threads is not forked.

    Args:
        request: The options.
        context: The run.
        shards: The number of shards that this run commits.
    """
    choice, device = request.execution, context.engine.classifier.device.type
    cores = usable_cores()
    size = choice.processes(device, cores=cores, shards=shards)
    replicas = choice.cores_per_worker(size, cores=cores) if device == "cpu" else None
    spec = worker_spec(request, context, replicas=replicas)
    if size == 1 and not any(map(needs_isolation, context.folder.journals())):
        yield None
    elif _can_fork(device):
        with open_fork_server(spec, context.engine, size=size) as server:
            yield server
    else:
        yield Spawner(spec, size)


def _can_fork(device: str) -> bool:
    """Whether workers may be forked: torch's CUDA and Python's threads do not survive a fork.

    macOS's own libraries do not, either.
    """
    if device != "cpu" or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return False
    return threading.active_count() == 1 and sys.platform == "linux"


def worker_spec(
    request: Request, context: RunContext, *, replicas: int | None = None
) -> WorkerSpec:
    """Return what a worker on this machine needs in order to open the run.

    Args:
        request: The options.
        context: The run.
        replicas: Maximum number of batches that the worker computes at the same time.
    """
    return WorkerSpec(request, Path.cwd(), context.source.identity, replicas=replicas)
