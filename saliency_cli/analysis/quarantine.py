"""Why rows were quarantined: each reason with its count and its first rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from saliency_cli.analysis.finding import EXAMPLE_ROWS
from saliency_cli.records import Record

MAX_REASONS = 50
"""Reasons that are counted separately; rows with any further reason are counted together."""


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """The quarantined rows with one reason.

    Attributes:
        reason: the reason; None for all reasons after the first `MAX_REASONS`.
        count: how many rows there are.
        rows: the ordinals of the first of them.
    """

    reason: str | None
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """All quarantined rows by reason, the most frequent reason first."""

    reasons: tuple[ReasonCount, ...]
    priority_rows: tuple[int, ...] = ()

    @property
    def example_rows(self) -> Iterator[int]:
        """The first rows of each reason."""
        return (row for each in self.reasons for row in each.rows)


@dataclass(slots=True)
class QuarantineReasons:
    """Counts quarantined rows by reason."""

    counts: dict[str | None, ReasonCount] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count the record of a quarantined row."""
        reason: str | None = record["reason"]
        if reason not in self.counts and len(self.counts) >= MAX_REASONS:
            reason = None
        before = self.counts.get(reason, ReasonCount(reason, 0, ()))
        rows = (*before.rows, record["ordinal"])[:EXAMPLE_ROWS]
        self.counts[reason] = ReasonCount(reason, before.count + 1, rows)

    def result(self) -> Quarantined:
        """Return the reasons, the most frequent first."""
        return Quarantined(tuple(_by_frequency(self.counts.values())))


def _by_frequency(counts: Iterable[ReasonCount]) -> list[ReasonCount]:
    return sorted(counts, key=lambda each: (-each.count, each.reason or ""))
