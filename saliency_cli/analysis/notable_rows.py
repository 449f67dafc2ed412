"""The rows to read first: for each kind the most pronounced rows, and how many there are in all."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappush, heapreplace
from typing import NamedTuple

from saliency_cli.analysis.excerpts import Excerpt, excerpt_words
from saliency_cli.analysis.word_shares import RowStats
from saliency_cli.figures.labels import mislabelled_margin
from saliency_cli.runs.summary import FLIP_RATE_WARNING

ROWS_LISTED = 25
"""Rows that are listed for each kind."""

FEWEST_WORDS = 5
"""With fewer different words, one of them always dominates the text."""


@dataclass(frozen=True, slots=True)
class NotableRow:
    """A row to read first, with what identifies it.

    Attributes:
        ordinal: the row's number in the input, from 0.
        id: the row's id in the input.
        excerpt: a part of the text with its strongest word, by word; see `excerpt_words`.
        predicted: the predicted label.
        gold: the gold label.
        leading_word: the word with the largest share.
        value: the kind's measure; the unit depends on the kind.
    """

    ordinal: int
    id: str | None
    excerpt: Excerpt
    predicted: str | None
    gold: str | None
    leading_word: str | None
    value: float


@dataclass(frozen=True, slots=True)
class NotableKind:
    """One kind of notable rows: how many there are, and the most pronounced ones, in order."""

    name: str
    count: int
    rows: tuple[NotableRow, ...]


@dataclass(frozen=True, slots=True)
class NotableRows:
    """The kinds of notable rows that occur, in the order of `KINDS`."""

    kinds: tuple[NotableKind, ...]
    example_rows: tuple[int, ...] = ()

    @property
    def priority_rows(self) -> Iterator[int]:
        """All rows that are listed."""
        return (row.ordinal for kind in self.kinds for row in kind.rows)


Measure = Callable[[RowStats, float], float | None]
"""Maps a row and the kind's limit to how pronounced the row is; None if it is not of the kind."""


class Kind(NamedTuple):
    """How a kind is measured, and the value that a row must reach (or, where noted, exceed)."""

    measure: Measure
    limit: float


def _wrong(row: RowStats, limit: float) -> float | None:
    """Return the probability of a wrong prediction."""
    probability: float | None = row.record["probability"]
    if row.correct is not False or probability is None:
        return None
    return probability if probability >= limit else None


def _fragile(row: RowStats, limit: float) -> float | None:
    """Return the flip rate; it must exceed the limit. A method without noise has none."""
    rate: float | None = row.record["flip_rate"]
    return rate if rate is not None and rate > limit else None


def _imprecise(row: RowStats, limit: float) -> float | None:
    """Return the largest standard error as a share of the largest score; must exceed the limit."""
    errors, scores = row.record["errors"], row.record["scores"]
    if not errors:
        return None
    largest = max(*scores, -min(scores))
    return max(errors) / largest if max(errors) > limit * largest > 0 else None


def _dominated(row: RowStats, limit: float) -> float | None:
    """Return the leading word's share."""
    if row.leading_word is None or len(row.shares) < FEWEST_WORDS:
        return None
    share = row.shares[row.leading_word]
    return share if share >= limit else None


def _special(row: RowStats, limit: float) -> float | None:
    """Return the share of the saliency on special tokens; it must exceed the limit."""
    share: float = row.record["special_share"]
    return share if share > limit else None


def _cut(row: RowStats, _limit: float) -> float | None:
    """Return how many characters of a truncated text the model did not read."""
    record = row.record
    if not record["truncated"]:
        return None
    ends = [0, 0]
    segments = record.get("segments") or [0] * len(record["offsets"])
    for (_, end), segment in zip(record["offsets"], segments, strict=True):
        ends[segment] = max(ends[segment], end)
    return float(len(record["text"]) + len(record["pair"] or "") - sum(ends))


KINDS = {
    "wrong": Kind(_wrong, 0.9),
    "fragile": Kind(_fragile, FLIP_RATE_WARNING),
    "imprecise": Kind(_imprecise, 0.05),
    "dominated": Kind(_dominated, 0.5),
    "special": Kind(_special, 0.5),
    "cut": Kind(_cut, 0.0),
}
"""In the order of the page. Their titles are in `templates/html/findings/notable.html.j2`."""

MISLABELLED = "mislabelled"
"""One more kind, first on the page, whose limits follow from the run."""

LIMITS = {name: kind.limit for name, kind in KINDS.items()}
"""Kind -> its limit, for the page's text."""


@dataclass(slots=True)
class _TopRows:
    """The most pronounced rows of one kind; among equals the first in the input."""

    count: int = 0
    heap: list[tuple[float, int, NotableRow]] = field(default_factory=list)

    def add(self, row: RowStats, value: float) -> None:
        self.count += 1
        if len(self.heap) < ROWS_LISTED:
            heappush(self.heap, (value, -row.record["ordinal"], _notable_row(row, value)))
        elif value > self.heap[0][0]:
            heapreplace(self.heap, (value, -row.record["ordinal"], _notable_row(row, value)))

    def in_order(self) -> tuple[NotableRow, ...]:
        return tuple(row for *_, row in sorted(self.heap, reverse=True))


@dataclass(slots=True)
class NotableRowCollector:
    """Collects the most pronounced rows of each kind.

    Attributes:
        thresholds: From which probability on a prediction of each label casts doubt on a gold label
            that it contradicts; empty where gold labels are not doubted.
        kinds: The rows of each kind.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    kinds: dict[str, _TopRows] = field(
        default_factory=lambda: {kind: _TopRows() for kind in (MISLABELLED, *KINDS)}
    )

    def add(self, row: RowStats) -> None:
        """Measure a row for every kind."""
        margin = mislabelled_margin(row.record, self.thresholds)
        if margin is not None:
            self.kinds[MISLABELLED].add(row, margin)
        for name, kind in KINDS.items():
            value = kind.measure(row, kind.limit)
            if value is not None:
                self.kinds[name].add(row, value)

    def result(self) -> NotableRows:
        """Return the kinds that have a row."""
        return NotableRows(
            tuple(
                NotableKind(name, top.count, top.in_order())
                for name, top in self.kinds.items()
                if top.count
            )
        )


def _notable_row(row: RowStats, value: float) -> NotableRow:
    record = row.record
    return NotableRow(
        record["ordinal"],
        record["id"],
        excerpt_words(record),
        record["predicted"],
        record["gold"],
        row.leading_word,
        value,
    )
