"""How each slice of the rows does in both runs: McNemar's test, and a bootstrap of a mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from saliency_cli.comparison.paired_means import PairedMean, PairedMeans
from saliency_cli.comparison.row_changes import BROKEN, FIXED, RowChange
from saliency_cli.figures.chance import holm, mcnemar_exact, normal_p_value
from saliency_cli.figures.rounding import mean, rounded
from saliency_cli.figures.slices import MOST_COUNTED, MOST_VALUES, OTHER_VALUES, slice_values

SliceKey: TypeAlias = tuple[str, str]
"""A column and a value."""
ALL: SliceKey = ("", "")
"""All rows, as one more slice."""


@dataclass(slots=True)
class RowCounts:
    """Counts the rows of one slice that both runs explain.

    Attributes:
        rows: how many there are.
        gold_known: how many have a known gold label in both runs.
        correct: how many of these are right in the first run, and in the second one.
        broken: how many were right and are wrong now; `fixed` the reverse.
    """

    rows: int = 0
    gold_known: int = 0
    correct: tuple[int, int] = (0, 0)
    broken: int = 0
    fixed: int = 0

    def add(self, change: RowChange) -> None:
        """Count a row that both runs explain."""
        self.rows += 1
        before, after = change.correct
        if before is None or after is None:
            return
        self.gold_known += 1
        self.correct = self.correct[0] + before, self.correct[1] + after
        self.broken += change.kind == BROKEN
        self.fixed += change.kind == FIXED

    def figures(self) -> dict[str, Any]:
        """Return the counts and both accuracies."""
        return {
            "rows": self.rows,
            "gold_known": self.gold_known,
            "broken": self.broken,
            "fixed": self.fixed,
            "accuracy_before": mean(self.correct[0], self.gold_known),
            "accuracy_after": mean(self.correct[1], self.gold_known),
        }


@dataclass(slots=True)
class SliceChanges:
    """Counts all slices of the rows that both runs explain.

    Attributes:
        counts: column and value -> its counts; `ALL` has all rows.
        gold_shifts: the changes of the gold label's probability, or of a regression's error.
    """

    counts: dict[SliceKey, RowCounts] = field(default_factory=lambda: {ALL: RowCounts()})
    gold_shifts: PairedMeans[SliceKey] = field(default_factory=PairedMeans)
    _values: dict[str, int] = field(default_factory=dict)

    def add(self, change: RowChange) -> None:
        """Count a row that both runs explain; its slices are those of the first run."""
        both = change.explained
        if both is None:
            return
        values = {**slice_values(both[1]), **slice_values(both[0])}
        keys = [ALL, *(self._slice(column, value) for column, value in values.items())]
        for key in keys:
            self.counts[key].add(change)
        if change.gold_shift is not None:
            self.gold_shifts.add(change.gold_shift, keys)

    def _slice(self, column: str, value: str) -> SliceKey:
        """Return the slice of a value; values beyond `MOST_COUNTED` of a column are one slice."""
        key = column, value
        if key not in self.counts:
            if self._values.get(column, 0) >= MOST_COUNTED:
                key = column, OTHER_VALUES
            self._values[column] = self._values.get(column, 0) + 1
            self.counts.setdefault(key, RowCounts())
        return key

    def result(self, means: Mapping[SliceKey, PairedMean]) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the figures of the largest slices, by column and value; a lone slice is none.

        Args:
            means: What `gold_shifts` gives for each slice.
        """
        columns: dict[str, list[SliceKey]] = {}
        for key in sorted(self.counts, key=lambda each: (-self.counts[each].rows, each)):
            if key != ALL:
                columns.setdefault(key[0], []).append(key)
        shown = [key for keys in columns.values() if len(keys) > 1 for key in keys[:MOST_VALUES]]
        p_values = holm([self._p_value(key, means.get(key)) for key in shown])
        result: dict[str, dict[str, dict[str, Any]]] = {}
        for key, p_value in zip(shown, p_values, strict=True):
            figures = {**self.counts[key].figures(), **mean_figures(means.get(key))}
            result.setdefault(key[0], {})[key[1]] = {**figures, "p_value": rounded(p_value)}
        return result

    def _p_value(self, key: SliceKey, shift: PairedMean | None) -> float:
        """Return McNemar's p-value; of a regression, that of the mean change of its error."""
        counts = self.counts[key]
        if counts.gold_known:
            return mcnemar_exact(counts.broken, counts.fixed)
        return 1.0 if shift is None else normal_p_value(shift.mean, shift.error)


def mean_figures(shift: PairedMean | None) -> dict[str, Any]:
    """Return the mean change of the gold label's probability, or of a regression's error."""
    if shift is None:
        return {"gold_shift": None, "gold_shift_interval": None}
    return {"gold_shift": shift.mean, "gold_shift_interval": [*shift.interval]}
