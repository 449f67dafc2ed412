"""The rows to read first: of each kind the most pronounced, and how many there are in all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappush, heapreplace

from saliency_cli.analysis.word_shares import RowStats
from saliency_cli.runs.summary import FLIP_RATE_WARNING

ROWS_KEPT = 25
"""Rows that are named for each kind."""

EXCERPT = 120
"""Characters of a row's text that are shown with its name."""

SURE = 0.9
"""A wrong prediction of at least this probability is confidently wrong."""

UNSETTLED = 0.05
"""A text is unsettled if the largest standard error exceeds this share of the largest score."""

DOMINATED = 0.5
"""A text is dominated by a word that has at least half of the saliency."""

FEWEST_WORDS = 5
"""A text of fewer different words has to be dominated by one of them."""

SPECIAL = 0.5
"""More than half of the saliency on special tokens is not on the text."""


@dataclass(frozen=True, slots=True)
class NotableRow:
    """A row worth reading: what was measured, and enough of it to know it by."""

    ordinal: int
    id: str | None
    excerpt: str
    predicted: str | None
    gold: str | None
    leading: str | None
    value: float


@dataclass(frozen=True, slots=True)
class Notable:
    """All rows of one kind: how many, and the most pronounced of them, that one first."""

    kind: str
    count: int
    rows: tuple[NotableRow, ...]


Measure = Callable[[RowStats], float | None]
"""How pronounced a row is, or None where it is not of the kind."""


def _wrong(seen: RowStats) -> float | None:
    probability: float | None = seen.record["probability"]
    if seen.right is not False or probability is None:
        return None
    return probability if probability >= SURE else None


def _fragile(seen: RowStats) -> float | None:
    rate: float = seen.record["flip_rate"]
    return rate if rate > FLIP_RATE_WARNING else None


def _unsettled(seen: RowStats) -> float | None:
    errors, scores = seen.record["errors"], seen.record["scores"]
    if not errors:
        return None
    largest = max(*scores, -min(scores))
    return max(errors) / largest if max(errors) > UNSETTLED * largest > 0 else None


def _dominated(seen: RowStats) -> float | None:
    if seen.leading is None or len(seen.shares) < FEWEST_WORDS:
        return None
    share = seen.shares[seen.leading]
    return share if share >= DOMINATED else None


def _special(seen: RowStats) -> float | None:
    share: float = seen.record["special_share"]
    return share if share > SPECIAL else None


def _cut(seen: RowStats) -> float | None:
    """Measure the characters that the model did not see."""
    record = seen.record
    if not record["truncated"]:
        return None
    ends = [0, 0]
    segments = record.get("segments") or [0] * len(record["offsets"])
    for (_, end), segment in zip(record["offsets"], segments, strict=True):
        ends[segment] = max(ends[segment], end)
    return float(len(record["text"]) + len(record["pair"] or "") - sum(ends))


KINDS: dict[str, Measure] = {
    "wrong": _wrong,
    "fragile": _fragile,
    "unsettled": _unsettled,
    "dominated": _dominated,
    "special": _special,
    "cut": _cut,
}
"""In the order in which the page names them."""


LIMITS = {
    "wrong": SURE,
    "fragile": FLIP_RATE_WARNING,
    "unsettled": UNSETTLED,
    "dominated": DOMINATED,
    "special": SPECIAL,
}
"""What a row must reach to be of a kind, for the page to say."""


@dataclass(slots=True)
class _Kept:
    """The most pronounced rows of one kind; among equals the first."""

    count: int = 0
    heap: list[tuple[float, int, NotableRow]] = field(default_factory=list)

    def add(self, seen: RowStats, value: float) -> None:
        self.count += 1
        if len(self.heap) < ROWS_KEPT:
            heappush(self.heap, (value, -seen.record["ordinal"], _row(seen, value)))
        elif value > self.heap[0][0]:
            heapreplace(self.heap, (value, -seen.record["ordinal"], _row(seen, value)))


@dataclass(slots=True)
class NotableRows:
    """The rows to read first, gathered in bounded memory."""

    kinds: dict[str, _Kept] = field(default_factory=lambda: {kind: _Kept() for kind in KINDS})

    def add(self, seen: RowStats) -> None:
        """Measure a row for every kind."""
        for kind, measure in KINDS.items():
            value = measure(seen)
            if value is not None:
                self.kinds[kind].add(seen, value)

    def found(self) -> tuple[Notable, ...]:
        """Return the kinds that were found."""
        return tuple(
            Notable(kind, kept.count, tuple(row for *_, row in sorted(kept.heap, reverse=True)))
            for kind, kept in self.kinds.items()
            if kept.count
        )


def _row(seen: RowStats, value: float) -> NotableRow:
    record = seen.record
    text = record["text"] if record["pair"] is None else f"{record['text']} ⁄ {record['pair']}"
    return NotableRow(
        record["ordinal"],
        record["id"],
        text[:EXCERPT] + ("…" if len(text) > EXCERPT else ""),
        record["predicted"],
        record["gold"],
        seen.leading,
        value,
    )
