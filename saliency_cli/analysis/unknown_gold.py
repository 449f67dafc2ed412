"""Gold labels that the model does not have: rows that no accuracy covers."""

from collections import Counter
from dataclasses import dataclass, field

from saliency_cli.analysis.word_shares import RowStats

MAX_LABELS = 1000
"""Labels that are counted separately; in a column of free text each row has another one."""


@dataclass(frozen=True, slots=True)
class UnknownGold:
    """The unknown gold labels with the number of their rows, the most frequent first."""

    labels: tuple[tuple[str, int], ...]
    priority_rows: tuple[int, ...] = ()
    example_rows: tuple[int, ...] = ()


@dataclass(slots=True)
class UnknownGoldCounts:
    """Counts the rows of each gold label that the model does not have."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, row: RowStats) -> None:
        """Count the gold label of a row, unless the prediction could be judged by it."""
        gold = row.record["gold"]
        if row.correct is not None or gold is None or row.record["predicted"] is None:
            return
        if "gold_labels" in row.record:  # an empty list, which names no label
            return
        if gold in self.counts or len(self.counts) < MAX_LABELS:
            self.counts[gold] += 1

    def result(self) -> UnknownGold:
        """Return the labels, the most frequent first."""
        return UnknownGold(tuple(sorted(self.counts.items(), key=lambda each: (-each[1], each[0]))))
