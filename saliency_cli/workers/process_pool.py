"""Workers that are processes of this machine, each with a model and a share of the cores."""

import os
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from typing import Any

from saliency_cli import signals
from saliency_cli.errors import Interrupted
from saliency_cli.records import BadRow, Row
from saliency_cli.workers.worker import Errand, Worker
from saliency_cli.workers.worker_pool import POLL, WorkerLostError

GRACE = 5.0
"""Seconds that processes have to end by themselves."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a process says in between: so many more rows of its shard are explained."""

    count: int


@dataclass(frozen=True, slots=True)
class Processes:
    """The agency of this machine; nothing outlives it that it has started.

    A worker is known by the pipe to its process; as it answers one call at a time, a call is, too.
    `advance` hears of rows at once. They are taken back when their shard is answered for, which is
    what counts: a process that dies over it has done none.
    """

    errand: Errand
    advance: Callable[[int], None]
    started: dict[Connection, SpawnProcess] = field(default_factory=dict)
    rows: Counter[Connection] = field(default_factory=Counter)
    answers: dict[Connection, object] = field(default_factory=dict)

    def hire(self) -> tuple[Connection, Connection]:
        """Start a process that a terminal's SIGINT passes by: this one answers for it."""
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(self.errand, theirs, os.getpid()), daemon=True
        )
        ensure_running()  # which unblocks signals
        signals.block_interrupts()
        try:
            process.start()
        finally:
            signals.block_interrupts(block=False)
        theirs.close()
        self.started[ours] = process
        return ours, ours

    def ask(self, worker: Any, number: int) -> Connection:  # noqa: ANN401
        """Have a process commit a shard; one that has died meanwhile is found by its silence."""
        pipe: Connection = worker
        with suppress(ConnectionError):
            pipe.send(number)
        return pipe

    def answered(self, calls: Sequence[Any]) -> Sequence[Any]:
        """Wait for the first answer, or death."""
        return [call for call in wait(calls, timeout=POLL) if self._answers(call)]

    def _answers(self, call: Any) -> bool:  # noqa: ANN401
        """Listen to a process; say whether there is an answer, or will be none."""
        try:
            said: object = call.recv()
        except (EOFError, ConnectionError):
            process = self.started[call]
            process.join()
            said = WorkerLostError(_how(process.exitcode), itself=True)
        if isinstance(said, Rows):
            self.rows[call] += said.count
            self.advance(said.count)
            return False
        self.answers[call] = said
        return True

    def answer(self, call: Any) -> object:  # noqa: ANN401
        """Return an answer.

        Raises:
            WorkerLostError: the process has died.
        """
        self.advance(-self.rows.pop(call, 0))
        answer = self.answers.pop(call)
        if isinstance(answer, WorkerLostError):
            raise answer
        return answer

    def stands(self, _place: str) -> bool:
        """Say that this machine is still there."""
        return True

    def check_room(self) -> None:
        """Take it that there is always room for one more process."""

    def dismiss(self, workers: Sequence[Any]) -> None:
        """End processes, all at once: each may leave word that it gives up what it is at."""
        for pipe in workers:
            self.started[pipe].terminate()
        until = time.monotonic() + GRACE
        for pipe in workers:
            process = self.started[pipe]
            process.join(max(0.0, until - time.monotonic()))
            process.kill()
            process.join()
            pipe.close()
            del self.started[pipe]


@contextmanager
def opened(errand: Errand, *, advance: Callable[[int], None]) -> Iterator[Processes]:
    """Open the agency, and leave none of its processes behind."""
    agency = Processes(errand, advance)
    try:
        yield agency
    finally:
        agency.dismiss([*agency.started])


def _how(code: int | None) -> str:
    """Say how a process ended."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


@dataclass(slots=True)
class _Teller:
    """Tells the process that has started this one of rows now and then; ends with that."""

    pipe: Connection
    parent: int
    rows: int = 0
    since: float = 0.0

    def see_parent(self) -> None:
        """End if the parent has: nobody would hear of what is done here."""
        if os.getppid() != self.parent:
            raise SystemExit(1)

    def __call__(self, _row: Row | BadRow) -> None:
        """Count a row."""
        self.see_parent()
        self.rows += 1
        now = time.monotonic()
        if now - self.since > POLL:
            self.pipe.send(Rows(self.rows))
            self.rows, self.since = 0, now


def _serve(errand: Errand, pipe: Connection, parent: int) -> None:
    """Be a worker for as long as the process lives that has started this one."""
    signals.catch()
    signals.raise_from_now_on()
    teller = _Teller(pipe, parent)
    worker = Worker(errand, done=teller)
    try:
        teller.see_parent()  # which may have died while torch was imported
        pipe.send(worker.ready())
        while True:
            pipe.send(worker.explain(pipe.recv()))
    except Interrupted:
        raise SystemExit(1) from None
    except (EOFError, OSError):  # whoever asked is gone
        return
    except Exception as error:  # noqa: BLE001 - raised where it is seen
        pipe.send(_told(error))


def _told(error: Exception) -> Exception:
    """Return an exception that any process can read, with where it came from."""
    told = RuntimeError(f"{type(error).__name__}: {error}")
    told.add_note("".join(traceback.format_exception(error)))
    return told
