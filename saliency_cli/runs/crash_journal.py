"""The crash journal of a shard: which rows were in work when a process died.

A native crash or the system's OOM killer raises no exception. All that remains is an attempt in the
journal that never ended. It is called a crash here, whatever ended the process. The next process
reads the journal and follows `next_step`:

1. After two crashes of the whole shard, the rows that were in flight at both are suspects.
2. The suspects are tried by themselves, half by half, until one row is left.
3. A row that crashes twice by itself is a crashing row, and is quarantined.

Step 3 counts only crashes that a parent process observed and recorded (`record_crash`). A process
that was killed from outside, or whose machine was lost, can make rows suspects but never
quarantines one.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import get_native_id
from typing import Any, TypeAlias

from saliency_cli.atomic_files import output_errors
from saliency_cli.errors import CheckpointError, OutputError

MAX_RECORDED_CRASHES = 5
"""Recorded crashes of a whole shard after which it is no longer tried."""
Entry: TypeAlias = dict[str, Any]
_ENTRIES: tuple[frozenset[str], ...] = (
    frozenset({"attempt"}),
    frozenset({"passed"}),
    frozenset({"thread", "rows"}),
    frozenset({"crash_recorded"}),
    frozenset({"crashing_row"}),
)
"""The keys of each kind of entry."""


@dataclass(slots=True)
class Attempt:
    """An attempt to explain a whole shard, or some of its rows by themselves.

    Attributes:
        rows: Ordinals of the rows that were tried by themselves; None for the whole shard.
        ended: Whether the process survived the attempt, with or without an exception.
        passed: Whether the attempt ended without an exception.
        crash_recorded: Whether a parent process saw the process die.
        in_flight: The rows that each thread worked on last, by the thread's native id.
    """

    rows: tuple[int, ...] | None
    ended: bool = False
    passed: bool = False
    crash_recorded: bool = False
    in_flight: dict[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def suspects(self) -> set[int]:
        """The rows that were in flight last, one of which may have crashed the process."""
        return {row for rows in self.in_flight.values() for row in rows}


@dataclass(slots=True)
class History:
    """The content of a journal.

    Attributes:
        quarantined: Ordinals of the crashing rows found so far.
        attempts: All attempts since the last crashing row was found, oldest first.
    """

    quarantined: list[int] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def crashes(self) -> list[Attempt]:
        """The attempts at the whole shard that never ended."""
        return [attempt for attempt in self.attempts if attempt.rows is None and not attempt.ended]

    @property
    def suspects(self) -> tuple[int, ...]:
        """The rows that were in flight at both of the last two crashes, sorted."""
        last = self.crashes[-2:]
        return tuple(sorted(last[0].suspects & last[1].suspects)) if len(last) == 2 else ()

    @property
    def probes(self) -> list[Attempt]:
        """The attempts at rows by themselves since the last crash of the whole shard."""
        probes: list[Attempt] = []
        for attempt in self.attempts:
            if attempt.rows is not None:
                probes.append(attempt)
            elif not attempt.ended:
                probes = []
        return probes


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next with a shard.

    Attributes:
        rows: Ordinals of the rows to try by themselves; None for the whole shard.
        crashing_row: The row to quarantine. If it is not None, nothing is tried in this step.
    """

    rows: tuple[int, ...] | None = None
    crashing_row: int | None = None


def next_step(history: History) -> Step:
    """Return the next step of the search; it depends on the history alone."""
    suspects, probes = history.suspects, history.probes
    crashed = [probe.rows for probe in probes if probe.rows and not probe.ended]
    passed = {row for probe in probes if probe.passed for row in probe.rows or ()}
    suspects = min(crashed, key=len, default=suspects)
    recorded = sum(
        probe.rows == suspects and not probe.ended and probe.crash_recorded for probe in probes
    )
    if len(suspects) == 1 and recorded >= 2:
        return Step(crashing_row=suspects[0])
    middle = len(suspects) // 2
    halves = [suspects] if len(suspects) == 1 else [suspects[:middle], suspects[middle:]]
    untried = [half for half in halves if half and not passed.issuperset(half)]
    return Step(untried[0]) if untried else Step()


def needs_isolation(path: Path) -> bool:
    """Whether a shard has suspects, so that it is better explained in a child process."""
    return bool(read_history(path).suspects)


def crash_limit_reached(history: History) -> bool:
    """Whether a shard has crashed too often to be tried again."""
    recorded = sum(crash.crash_recorded for crash in history.crashes)
    return recorded >= MAX_RECORDED_CRASHES


def read_history(path: Path) -> History:
    """Read a journal; lines that are no entries, such as half a line, are skipped."""
    history = History()
    content = path.read_bytes() if path.exists() else b""
    for line in content.split(b"\n"):
        entry = _parse_entry(line)
        if entry is not None:
            _apply_entry(history, entry)
    return history


def _parse_entry(line: bytes) -> Entry | None:
    """Return the entry on a line, or None: the disk was full, or the file is damaged."""
    try:
        entry = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if type(entry) is not dict or frozenset(entry) not in _ENTRIES:
        return None
    return entry if all(_is_valid(name, value) for name, value in entry.items()) else None


def _is_valid(name: str, value: object) -> bool:
    """Whether a value of an entry has the type that it is written with."""
    if name in {"thread", "crashing_row"}:
        return type(value) is int
    if name in {"passed", "crash_recorded"}:
        return type(value) is bool
    if value is None:
        return name == "attempt"
    return type(value) is list and all(type(row) is int for row in value)


def _apply_entry(history: History, entry: Entry) -> None:
    """Update a history with the next line of its journal."""
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
        last.crash_recorded |= "crash_recorded" in entry
        if "thread" in entry:
            last.in_flight[entry["thread"]] = tuple(entry["rows"])


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal that is open for writing.

    Every entry is written with one unbuffered call, so that it survives the death of this process.
    """

    path: Path
    descriptor: int

    def write(self, **entry: object) -> None:
        """Append an entry.

        Raises:
            OutputError: If it cannot be written.
        """
        line = json.dumps(entry, sort_keys=True, separators=(",", ":")) + "\n"
        with output_errors(self.path):
            os.write(self.descriptor, line.encode())

    def record_in_flight(self, rows: Sequence[int]) -> None:
        """Record the rows that the calling thread is about to work on."""
        self.write(thread=get_native_id(), rows=[*rows])

    @contextmanager
    def attempt(self, rows: Sequence[int] | None) -> Iterator[None]:
        """Record an attempt, and at the end of the block that it ended.

        An attempt that ends with an exception is recorded as ended: the process did not crash.

        Args:
            rows: Ordinals of the rows that are tried by themselves; None for the whole shard.
        """
        self.write(attempt=None if rows is None else [*rows])
        passed = False
        try:
            yield
            passed = True
        finally:
            with suppress(OutputError):
                self.write(passed=passed)


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Open the journal of a shard that this process has locked.

    Raises:
        OutputError: If it cannot be opened or written.
    """
    with output_errors(path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o666)
    try:
        yield Journal(path, descriptor)
    finally:
        os.close(descriptor)


def record_crash(path: Path) -> None:
    """Record that the process which wrote the last attempt died while its parent waited for it."""
    with open_journal(path) as journal:
        journal.write(crash_recorded=True)


def record_cancelled(path: Path) -> None:
    """Record that the last attempt was stopped by its parent, so that it is not taken for a crash.

    This happens during clean-up, so an OutputError is ignored.
    """
    if path.exists():
        with suppress(OutputError), open_journal(path) as journal:
            journal.write(passed=False)


def crash_limit_error(number: int) -> CheckpointError:
    """Return the error for shard `number`, which has crashed too often to be tried again."""
    return CheckpointError(
        f"shard {number} has crashed {MAX_RECORDED_CRASHES} processes, "
        "and none of its rows crashes one by itself",
        "give the process more memory, or lower --batch-tokens",
    )
