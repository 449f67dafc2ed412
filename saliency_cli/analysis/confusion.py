"""Predictions against gold labels: the confusion matrix, and how sure the model was."""

from collections import Counter
from dataclasses import dataclass, field

from saliency_cli.analysis.word_shares import RowStats

MOST_LABELS = 12
"""Labels that the matrix shows; more would not fit on a page."""

BINS = 20
"""Bins of the histogram, of equal width over probabilities from 0 to 1."""

KINDS = ("right", "wrong", "unjudged")
"""Counts of a bin: which predictions agree with the gold label, which not, which have none."""

ROWS_KEPT = 5
"""Rows that are named for a kind of mistake."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Rows with one gold and one predicted label; `share` is that of the gold label's rows."""

    gold: str
    predicted: str
    count: int
    share: float
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Gold labels down, predicted ones across; `mistakes` are the wrong cells, largest first.

    `labels` are the most frequent ones, in the model's order; `hidden` counts the others.
    """

    labels: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    mistakes: tuple[Cell, ...]
    hidden: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows whose probability lies between two edges; the last bin holds 1 as well."""

    low: float
    high: float
    right: int
    wrong: int
    unjudged: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows by probability; `kinds` are the counts of a bin that are not zero throughout."""

    bins: tuple[Bin, ...]
    kinds: tuple[str, ...]


@dataclass(slots=True)
class Judgements:
    """What the confusion matrix and the histogram are made of."""

    labels: tuple[str, ...]
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    bins: list[Counter[bool | None]] = field(
        default_factory=lambda: [Counter() for _ in range(BINS)]
    )

    def add(self, seen: RowStats) -> None:
        """Count one prediction; a regression makes none."""
        record, right = seen.record, seen.right
        if record["probability"] is None:
            return
        self.bins[min(int(record["probability"] * BINS), BINS - 1)][right] += 1
        if right is None:
            return
        cell = record["gold"], record["predicted"]
        self.cells[cell] += 1
        named = self.rows.get(cell, ())
        if len(named) < ROWS_KEPT:
            self.rows[cell] = (*named, record["ordinal"])

    def histogram(self) -> Histogram | None:
        """Return the bins from the lowest that holds a row, or from one half; None without rows."""
        if not any(self.bins):
            return None
        first = min(BINS // 2, next(place for place, each in enumerate(self.bins) if each))
        bins = tuple(
            Bin(place / BINS, (place + 1) / BINS, each[True], each[False], each[None])
            for place, each in enumerate(self.bins[first:], start=first)
        )
        kinds = (kind for kind in KINDS if any(getattr(each, kind) for each in bins))
        return Histogram(bins, tuple(kinds))

    def confusion(self, *, most: int) -> Confusion | None:
        """Return the matrix, and the `most` frequent mistakes; None without gold labels."""
        if not self.cells:
            return None
        seen = self._seen()
        chosen = sorted(seen, key=lambda label: -seen[label])[:MOST_LABELS]
        labels = tuple(label for label in self.labels if label in chosen)
        wrong = sorted((-n, cell) for cell, n in self.cells.items() if cell[0] != cell[1])[:most]
        return Confusion(
            labels,
            tuple(tuple(self._cell(gold, label) for label in labels) for gold in labels),
            tuple(self._cell(*cell) for _, cell in wrong),
            hidden=len(seen) - len(labels),
        )

    def _seen(self) -> dict[str, int]:
        """Return the labels that are gold or predicted somewhere, and how often they are either."""
        counts: Counter[str] = Counter()
        for cell, count in self.cells.items():
            for label in set(cell):
                counts[label] += count
        return {label: counts[label] for label in self.labels if counts[label]}

    def _cell(self, gold: str, predicted: str) -> Cell:
        count = self.cells[gold, predicted]
        total = sum(number for cell, number in self.cells.items() if cell[0] == gold)
        return Cell(
            gold,
            predicted,
            count,
            count / total if total else 0.0,
            self.rows.get((gold, predicted), ()),
        )
