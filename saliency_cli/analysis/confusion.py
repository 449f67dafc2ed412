"""Predictions against gold labels: the confusion matrix, and the histogram of probabilities."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from saliency_cli.analysis.finding import EXAMPLE_ROWS
from saliency_cli.analysis.word_shares import RowStats

MATRIX_LABELS = 12
"""Labels that the matrix shows; more would not fit on a page."""

MISTAKES_SHOWN = 6
"""Kinds of mistake that are listed below the matrix."""

BINS = 20
"""Bins of the histogram, of equal width over probabilities from 0 to 1."""

OUTCOMES = ("correct", "wrong", "without_gold")
"""Counts of a bin: correct predictions, wrong ones, and those without a known gold label."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The rows with one gold label and one predicted label.

    Attributes:
        gold: the gold label.
        predicted: the predicted label.
        count: how many rows there are.
        share: their share of the rows with this gold label, 0 to 1.
        rows: the ordinals of the first of them.
    """

    gold: str
    predicted: str
    count: int
    share: float
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """The confusion matrix, with a row per gold label and a column per predicted label.

    Attributes:
        labels: the most frequent labels, in the model's order.
        cells: one tuple per gold label, in the order of `labels`.
        mistakes: the cells of wrong predictions with most rows, largest first.
        hidden_labels: how many labels occur but are not in `labels`.
        judged: how many predictions have a gold label of the model's.
        wrong: how many of these are wrong.
    """

    labels: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    mistakes: tuple[Cell, ...]
    hidden_labels: int
    judged: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Bin:
    """The rows whose probability is in [low, high); the last bin includes 1."""

    low: float
    high: float
    correct: int
    wrong: int
    without_gold: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows by the probability of the predicted label.

    Attributes:
        bins: bins of equal width, in ascending order; the last one ends at 1.
        outcomes: those of `OUTCOMES` that some row has.
    """

    bins: tuple[Bin, ...]
    outcomes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Predictions:
    """The histogram (None without probabilities) and the matrix (None without gold labels)."""

    histogram: Histogram | None
    confusion: Confusion | None
    priority_rows: tuple[int, ...] = ()

    @property
    def example_rows(self) -> Iterator[int]:
        """The first rows of each kind of mistake."""
        mistakes = self.confusion.mistakes if self.confusion else ()
        return (row for cell in mistakes for row in cell.rows)


@dataclass(slots=True)
class PredictionCounts:
    """Counts predictions by gold label, predicted label and probability."""

    labels: tuple[str, ...]
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    rows: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    bins: list[Counter[bool | None]] = field(
        default_factory=lambda: [Counter() for _ in range(BINS)]
    )

    def add(self, row: RowStats) -> None:
        """Count one prediction; a regression has none."""
        record, correct = row.record, row.correct
        if record["probability"] is None:
            return
        self.bins[min(int(record["probability"] * BINS), BINS - 1)][correct] += 1
        if correct is None or "gold_labels" in record:  # of several gold labels there is no matrix
            return
        cell = record["gold"], record["predicted"]
        self.cells[cell] += 1
        rows = self.rows.get(cell, ())
        if len(rows) < EXAMPLE_ROWS:
            self.rows[cell] = (*rows, record["ordinal"])

    def result(self) -> Predictions:
        """Return the histogram and the matrix of the rows that were added."""
        return Predictions(self._histogram(), self._confusion())

    def _histogram(self) -> Histogram | None:
        """Return the bins from the lowest with a row, or from 0.5 if that is lower."""
        if not any(self.bins):
            return None
        first = min(BINS // 2, next(index for index, each in enumerate(self.bins) if each))
        bins = tuple(
            Bin(index / BINS, (index + 1) / BINS, each[True], each[False], each[None])
            for index, each in enumerate(self.bins[first:], start=first)
        )
        outcomes = (name for name in OUTCOMES if any(getattr(each, name) for each in bins))
        return Histogram(bins, tuple(outcomes))

    def _confusion(self) -> Confusion | None:
        if not self.cells:
            return None
        counts = self._label_counts()
        most_frequent = sorted(counts, key=lambda label: -counts[label])[:MATRIX_LABELS]
        labels = tuple(label for label in self.labels if label in most_frequent)
        return Confusion(
            labels,
            tuple(tuple(self._cell(gold, label) for label in labels) for gold in labels),
            self._mistakes(),
            hidden_labels=len(counts) - len(labels),
            judged=self.cells.total(),
            wrong=sum(n for cell, n in self.cells.items() if cell[0] != cell[1]),
        )

    def _label_counts(self) -> dict[str, int]:
        """Return how many rows have each label as gold or predicted, in the model's order."""
        counts: Counter[str] = Counter()
        for cell, count in self.cells.items():
            for label in set(cell):
                counts[label] += count
        return {label: counts[label] for label in self.labels if counts[label]}

    def _mistakes(self) -> tuple[Cell, ...]:
        wrong = sorted((-n, cell) for cell, n in self.cells.items() if cell[0] != cell[1])
        return tuple(self._cell(*cell) for _, cell in wrong[:MISTAKES_SHOWN])

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
