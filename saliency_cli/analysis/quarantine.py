"""Why rows were quarantined: each kind of reason with its count and its first rows."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from saliency_cli.analysis.finding import EXAMPLE_ROWS
from saliency_cli.records import Record

MAX_REASONS = 50
"""Kinds that are counted separately; rows of any further kind are counted together."""
_DETAILS = (
    (re.compile(r"( fails: [\w.]+): .*", re.DOTALL), r"\1"),
    (re.compile(r" at (?:byte|character) \d+(?: of the row)?"), ""),
    (re.compile(r"^\d+ fields where the header has (\d+)"), r"other than the header’s \1 fields"),
    (re.compile(r"the key '.*' stands twice", re.DOTALL), "a key stands twice"),
)
"""What differs from row to row in a reason, and what takes its place."""


def reason_kind(reason: str) -> str:
    """Return a reason without what differs from row to row: places, numbers, the error's text."""
    for detail, rest in _DETAILS:
        reason = detail.sub(rest, reason)
    return reason


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """The quarantined rows with one kind of reason.

    Attributes:
        reason: the kind; None for all kinds after the first `MAX_REASONS`.
        count: how many rows there are.
        rows: the ordinals of the first of them.
    """

    reason: str | None
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """All quarantined rows by kind of reason, the most frequent first."""

    reasons: tuple[ReasonCount, ...]
    priority_rows: tuple[int, ...] = ()

    @property
    def example_rows(self) -> Iterator[int]:
        """The first rows of each kind."""
        return (row for each in self.reasons for row in each.rows)


@dataclass(slots=True)
class QuarantineReasons:
    """Counts quarantined rows by kind of reason."""

    counts: dict[str | None, ReasonCount] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count the record of a quarantined row."""
        reason: str | None = reason_kind(record["reason"])
        if reason not in self.counts and len(self.counts) >= MAX_REASONS:
            reason = None
        before = self.counts.get(reason, ReasonCount(reason, 0, ()))
        rows = (*before.rows, record["ordinal"])[:EXAMPLE_ROWS]
        self.counts[reason] = ReasonCount(reason, before.count + 1, rows)

    def result(self) -> Quarantined:
        """Return the kinds, the most frequent first."""
        return Quarantined(tuple(_by_frequency(self.counts.values())))


def _by_frequency(counts: Iterable[ReasonCount]) -> list[ReasonCount]:
    return sorted(counts, key=lambda each: (-each.count, each.reason or ""))
