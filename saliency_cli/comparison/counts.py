"""The sums that the figures of a comparison are computed from."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from saliency_cli.comparison.paired_means import PairedMeans
from saliency_cli.comparison.row_changes import (
    BROKEN,
    FIXED,
    FLIPPED,
    GAINED,
    LOST,
    ONLY_AFTER,
    ONLY_BEFORE,
    RowChange,
)
from saliency_cli.comparison.slice_changes import ALL, SliceChanges, mean_figures
from saliency_cli.comparison.word_changes import WordChangeCounts
from saliency_cli.figures.chance import mcnemar_exact
from saliency_cli.figures.rounding import mean, rounded

CONFUSIONS_SHOWN = 5
"""Kinds of broken predictions, by gold and predicted label, that are listed."""


@dataclass(slots=True)
class ComparisonCounts:
    """Adds up the changes of all rows.

    Attributes:
        kinds: number of rows of each kind of change.
        changed: rows of both runs with another prediction, status or saliency.
        gold_changed: rows that both runs explain, with different gold labels.
        texts_changed: rows that both runs explain, with different texts (and the same id).
        tokens_changed: rows with the same text that the runs divide into different tokens.
        explained: rows that both runs explain.
        shifts: the changes of the predicted label's probability.
        distances: number of rows whose saliency was compared, sum of the distances, and of those
            that errors alone give.
        moved: rows whose saliency moved beyond its errors.
        broken: gold and predicted label of the broken rows.
        slices: all slices.
        words: the words of the rows whose saliency was compared.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    gold_changed: int = 0
    texts_changed: int = 0
    tokens_changed: int = 0
    explained: int = 0
    shifts: PairedMeans[str] = field(default_factory=PairedMeans)
    distances: tuple[int, float, float] = (0, 0.0, 0.0)
    moved: int = 0
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    slices: SliceChanges = field(default_factory=SliceChanges)
    words: WordChangeCounts = field(default_factory=WordChangeCounts)

    def add(self, change: RowChange) -> None:
        """Add one row."""
        self.kinds[change.kind] += 1
        self.changed += change.is_change
        both = change.explained
        if both is None:
            return
        before, after = both
        self.explained += 1
        self.gold_changed += before["gold"] != after["gold"]
        self.texts_changed += not change.same_text
        self.tokens_changed += change.same_text and before["tokens"] != after["tokens"]
        if change.kind == BROKEN:
            self.broken[after["gold"], after["predicted"]] += 1
        if change.shift is not None:
            self.shifts.add(change.shift, ("",))
        self.slices.add(change)
        if change.distance is not None:
            rows, value, expected = self.distances
            own = change.distance
            self.distances = rows + 1, value + own.value, expected + own.expected
            self.moved += own.moved
            self.words.add(own.words)

    def figures(self) -> dict[str, Any]:
        """Return the figures as `comparison.json` has them."""
        kinds, (compared, distance, expected) = self.kinds, self.distances
        flipped = kinds[FLIPPED] + kinds[FIXED] + kinds[BROKEN]
        rows, only = kinds.total(), kinds[ONLY_BEFORE] + kinds[ONLY_AFTER]
        gold_shifts = self.slices.gold_shifts.results()
        return {
            "rows": rows,
            "matched": rows - only,
            "only_before": kinds[ONLY_BEFORE],
            "only_after": kinds[ONLY_AFTER],
            "explained": self.explained,
            "changed": self.changed,
            "newly_quarantined": kinds[LOST],
            "no_longer_quarantined": kinds[GAINED],
            "gold_changed": self.gold_changed,
            "texts_changed": self.texts_changed,
            "tokens_changed": self.tokens_changed,
            "flipped": flipped,
            "fixed": kinds[FIXED],
            "broken": kinds[BROKEN],
            **self._accuracies(),
            **self._shifts(),
            **mean_figures(gold_shifts.get(ALL)),
            "compared": compared,
            "mean_distance": mean(distance, compared),
            "expected_distance": mean(expected, compared),
            "moved": self.moved,
            "confusions": [
                {"gold": gold, "predicted": predicted, "rows": count}
                for (gold, predicted), count in self._confusions()
            ],
            "words": self.words.result(),
            "slices": self.slices.result(gold_shifts),
        }

    def _accuracies(self) -> dict[str, Any]:
        of_all = self.slices.counts[ALL]
        figures = of_all.figures()
        names = ("gold_known", "accuracy_before", "accuracy_after")
        known = of_all.gold_known
        return {
            **{name: figures[name] for name in names},
            "accuracy_change": mean(of_all.correct[1] - of_all.correct[0], known),
            "p_value": rounded(mcnemar_exact(of_all.broken, of_all.fixed)) if known else None,
        }

    def _shifts(self) -> dict[str, Any]:
        shift = self.shifts.results().get("")
        if shift is None:
            return {"mean_probability_shift": None, "probability_shift_interval": None}
        return {
            "mean_probability_shift": shift.mean,
            "probability_shift_interval": [*shift.interval],
        }

    def _confusions(self) -> list[tuple[tuple[str, str], int]]:
        ordered = sorted(self.broken.items(), key=lambda each: (-each[1], each[0]))
        return ordered[:CONFUSIONS_SHOWN]
