"""A process that has the loaded model, and forks workers from itself.

The server is forked from the run's process, after the model was loaded and before a progress bar
starts a thread: the model is loaded once, and workers share its weights in memory. At that moment
the process has one thread (see `model.devices.prepare_device`), so no lock is held by a thread that
the server does not have. The run's process itself cannot fork the worker that replaces a dead one,
since the progress bar's thread runs by then.

The server ends when its pipe is closed, which also happens when the run's process is killed; then
it terminates its workers. A worker ends when its own pipe is closed, or the server has ended.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path

from saliency_cli import signals
from saliency_cli.attribution.engine import Engine
from saliency_cli.errors import CheckpointError
from saliency_cli.workers.worker import WorkerSpec
from saliency_cli.workers.worker_process import worker_main

_FIRST_FREE = 3
"""The descriptors below are standard input, output and error."""


@dataclass(frozen=True, slots=True)
class ForkServer:
    """The run's end of a server. It starts at most `size` workers at a time.

    Attributes:
        size: Maximum number of worker processes.
        pid: The server's process ID.
        control: Pipe to the server. A request is None, to start a worker, or the process ID of a
            worker and a timeout, to join it.
    """

    size: int
    pid: int
    control: Connection

    def start(self, pipe: Connection) -> "ForkedProcess":
        """Start a worker process.

        Raises:
            CheckpointError: The server has died.
        """
        try:
            self.control.send(None)
            send_handle(self.control, pipe.fileno(), self.pid)
            return ForkedProcess(self, self.control.recv())
        except (EOFError, ConnectionError):
            raise _server_died() from None

    def join(self, pid: int, timeout: float | None) -> int | None:
        """Wait for the end of a worker; return its exit code, or None after the timeout.

        Args:
            pid: The worker's process ID.
            timeout: Seconds to wait; None waits for the end.

        Raises:
            CheckpointError: The server has died.
        """
        try:
            self.control.send((pid, timeout))
            code: int | None = self.control.recv()
        except (EOFError, ConnectionError):
            raise _server_died() from None
        return code


def _server_died() -> CheckpointError:
    return CheckpointError(
        "the process that starts workers was killed",
        "give the run more memory or fewer --workers; add --resume to resume it",
    )


@dataclass(slots=True)
class ForkedProcess:
    """A worker process that a server has forked; its ID is free for others once it was joined."""

    server: ForkServer
    pid: int
    exitcode: int | None = None

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the process, up to a number of seconds."""
        if self.exitcode is None:
            self.exitcode = self.server.join(self.pid, timeout)

    def terminate(self) -> None:
        """Send SIGTERM to the process, unless it was joined."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the process, unless it was joined."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.exitcode is None:
            with suppress(ProcessLookupError):  # the server was killed, too
                os.kill(self.pid, number)


@contextmanager
def open_fork_server(spec: WorkerSpec, engine: Engine, *, size: int) -> Iterator[ForkServer]:
    """Fork a server from this process and yield it; at the end it has terminated its workers.

    Args:
        spec: What each worker needs in order to open the run.
        engine: The loaded model.
        size: Maximum number of worker processes.
    """
    context = get_context("fork")
    control, server_end = context.Pipe()
    process = context.Process(target=_serve, args=(server_end, spec, engine))
    with signals.interrupts_blocked():
        process.start()
    server_end.close()
    assert process.pid is not None  # noqa: S101 - it was started
    try:
        yield ForkServer(size, process.pid, control)
    finally:
        control.close()
        process.join()


def _serve(control: Connection, spec: WorkerSpec, engine: Engine) -> None:
    """Start and join workers as requested, until the run's process closes the pipe."""
    # SIGTERM may be sent to all processes of a run. The run's process then asks for exit codes.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    _release_descriptors(kept=control.fileno())
    workers: dict[int, ForkProcess] = {}
    with suppress(EOFError, ConnectionError):
        while True:
            request = control.recv()
            if request is None:
                process = _fork_worker(control, spec, engine)
                workers[process.pid or 0] = process
                control.send(process.pid)
            else:
                pid, timeout = request
                workers[pid].join(timeout)
                control.send(workers[pid].exitcode)


def _release_descriptors(*, kept: int) -> None:
    """Point the descriptors that were inherited to /dev/null: the run's locks, input and output.

    They are not closed, since the Python objects that own them would later close whatever has
    their numbers by then.

    Args:
        kept: A descriptor that the server needs. It needs the standard ones, too.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number >= _FIRST_FREE and number not in {kept, null}:
            os.dup2(null, number, inheritable=False)


def _fork_worker(control: Connection, spec: WorkerSpec, engine: Engine) -> ForkProcess:
    """Fork a worker, which gets the pipe that the run's process has sent, and return it."""
    with Connection(recv_handle(control)) as pipe:
        process = get_context("fork").Process(
            target=_run_worker, args=(control, pipe, spec, engine, os.getpid()), daemon=True
        )
        process.start()
    return process


def _run_worker(
    control: Connection, pipe: Connection, spec: WorkerSpec, engine: Engine, server_pid: int
) -> None:
    control.close()  # else the run's process would not notice the death of the server
    worker_main(spec, pipe, parent_pid=server_pid, engine=engine)
