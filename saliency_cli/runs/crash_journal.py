"""Which row kills the process: a journal for each shard, read by whoever comes after a death.

A native crash or the system's OOM killer leaves no exception, only an attempt that never ended. Two
such deaths over common rows bisect those rows; two more on a row by itself, seen by the process
that started the dead one, quarantine it. A run that was itself killed (a machine taken away) is no
proof against a row: its deaths make rows suspect, and no more.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_native_id
from typing import Any, TypeAlias

from saliency_cli.atomic_files import writing
from saliency_cli.errors import CheckpointError, OutputError

MOST_DEATHS = 5
"""Deaths of a whole shard that were seen; with more, and no row to blame, it is given up."""
Entry: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class Attempt:
    """An attempt at some rows by themselves, or at the whole shard (`rows` is None).

    It ended if the process lived on, and passed if it also came to its end; a death was seen if
    another process waited for this one. `in_flight` has, for each thread, the rows it was at last.
    """

    rows: tuple[int, ...] | None
    ended: bool = False
    passed: bool = False
    seen: bool = False
    in_flight: dict[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def suspects(self) -> set[int]:
        """Rows that may have killed it."""
        return {row for rows in self.in_flight.values() for row in rows}


@dataclass(slots=True)
class History:
    """What a journal tells: the rows found guilty, and the attempts since the last of them."""

    quarantined: list[int] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def deaths(self) -> list[Attempt]:
        """Attempts at the whole shard that never ended."""
        return [each for each in self.attempts if each.rows is None and not each.ended]

    @property
    def suspects(self) -> tuple[int, ...]:
        """Rows that were in flight at both of the last two deaths."""
        last = self.deaths[-2:]
        return tuple(sorted(last[0].suspects & last[1].suspects)) if len(last) == 2 else ()

    @property
    def probes(self) -> list[Attempt]:
        """Attempts at rows by themselves since the last death of the whole shard."""
        probes: list[Attempt] = []
        for each in self.attempts:
            if each.rows is not None:
                probes.append(each)
            elif not each.ended:
                probes = []
        return probes


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: try the whole shard (None) or rows alone, or convict a row."""

    rows: tuple[int, ...] | None = None
    crashing_row: int | None = None


def next_step(history: History) -> Step:
    """Return what follows from a history; the same whoever reads it."""
    rows, probes = history.suspects, history.probes
    fatal = [probe.rows for probe in probes if probe.rows and not probe.ended]
    passed = {row for probe in probes if probe.passed for row in probe.rows or ()}
    rows = min(fatal, key=len, default=rows)
    alone = [probe for probe in probes if probe.rows == rows and not probe.ended and probe.seen]
    if len(rows) == 1 and len(alone) >= 2:
        return Step(crashing_row=rows[0])
    halves = [rows] if len(rows) == 1 else [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    untried = [half for half in halves if half and not passed.issuperset(half)]
    return Step(untried[0]) if untried else Step()


def needs_isolation(path: Path) -> bool:
    """Say whether a shard is better tried in a process of its own."""
    return bool(read_history(path).suspects)


def crash_limit_reached(history: History) -> bool:
    """Say whether a shard has died too often to be tried again."""
    return sum(death.seen for death in history.deaths) >= MOST_DEATHS


def read_history(path: Path) -> History:
    """Read a journal; a last line that was not written whole is none."""
    history = History()
    content = path.read_text(encoding="utf-8") if path.exists() else ""
    for line in content.split("\n"):
        with suppress(ValueError):  # half a line, of a full disk
            _tell(history, json.loads(line))
    return history


def _tell(history: History, entry: Entry) -> None:
    if "crashing_row" in entry:
        history.quarantined.append(entry["crashing_row"])
        history.attempts.clear()
    elif "attempt" in entry:
        rows = entry["attempt"]
        history.attempts.append(Attempt(None if rows is None else tuple(rows)))
    elif history.attempts:
        last = history.attempts[-1]
        last.ended |= "passed" in entry
        last.passed |= entry.get("passed", False)
        last.seen |= "seen" in entry
        if "thread" in entry:
            last.in_flight[entry["thread"]] = tuple(entry["rows"])


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal open for writing: every entry is with the system at once, and outlives us."""

    path: Path
    descriptor: int

    def write(self, **entry: object) -> None:
        """Append an entry.

        Raises:
            OutputError: it cannot be written.
        """
        line = json.dumps(entry, sort_keys=True, separators=(",", ":")) + "\n"
        with writing(self.path):
            os.write(self.descriptor, line.encode())

    def watch(self, rows: Sequence[int]) -> None:
        """Note the rows that this thread is about to work on."""
        self.write(thread=get_native_id(), rows=[*rows])

    @contextmanager
    def attempt(self, rows: Sequence[int] | None) -> Iterator[None]:
        """Note an attempt; whatever it ends with, an exception or none, it is no death."""
        self.write(attempt=None if rows is None else [*rows])
        passed = False
        try:
            yield
            passed = True
        finally:
            with suppress(OutputError):
                self.write(passed=passed)


@contextmanager
def journal(path: Path) -> Iterator[Journal]:
    """Open a shard's journal; it must be locked.

    Raises:
        OutputError: it cannot be written.
    """
    with writing(path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o666)
    try:
        yield Journal(path, descriptor)
    finally:
        os.close(descriptor)


def record_crash(path: Path) -> None:
    """Note that the process which wrote last in a journal died before our eyes."""
    with journal(path) as open_journal:
        open_journal.write(seen=True)


def record_cancelled(path: Path) -> None:
    """Note that the process which wrote last in a journal was stopped by us: it is no death."""
    if path.exists():
        with suppress(OutputError), journal(path) as open_journal:
            open_journal.write(passed=False)


def crash_limit_error(number: int) -> CheckpointError:
    """Return what to say of a shard that is given up."""
    return CheckpointError(
        f"shard {number} has killed {MOST_DEATHS} processes, and no row of it does so alone",
        "give it more memory, or fewer --batch-tokens",
    )
