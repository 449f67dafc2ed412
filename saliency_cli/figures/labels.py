"""Precision, recall and F1 of each label, and when a gold label may be wrong."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import fsum
from typing import Any

from saliency_cli.figures.rounding import mean, rounded
from saliency_cli.records import Record

CALIBRATED = 0.1
"""Largest calibration error with which gold labels are doubted: else the probabilities do not say
how sure the model may be."""


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """How one label is predicted.

    Attributes:
        label: The label.
        rows: Rows with this gold label.
        precision: Share of the predictions of this label that are right; None if there is none.
        recall: Share of the rows with this gold label that are predicted so; None if there is none.
        f1: Harmonic mean of both.
        threshold: Mean probability of this label in the rows with this gold label: from it on a
            prediction is confident enough to doubt another gold label. None where probabilities are
            badly calibrated, and for a multi-label model.
    """

    label: str
    rows: int
    precision: float | None
    recall: float | None
    f1: float
    threshold: float | None

    def summary(self) -> dict[str, Any]:
        """Return the figures as the summary has them."""
        names = ("rows", "precision", "recall", "f1", "threshold")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class LabelCounts:
    """Counts gold and predicted labels of the rows whose gold labels the model has.

    Attributes:
        gold: Rows by gold label; `predicted` by predicted label, `hits` by label that is both.
        rows: All rows, and `exact` those of which all labels are predicted and no other.
        own: For each label the sum of its probability in the rows with this gold label.
        wrong: For each label the probabilities of its wrong predictions, eight bytes a row; of a
            multi-label model nothing.
    """

    gold: Counter[str] = field(default_factory=Counter)
    predicted: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    exact: int = 0
    own: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    wrong: dict[str, "array[float]"] = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )

    def add(self, record: Record, gold: list[str], predicted: list[str]) -> None:
        """Count one row.

        Args:
            record: The row's record.
            gold: Its gold labels, all of them labels of the model, in its order.
            predicted: Its predicted labels, in the same order.
        """
        self.rows += 1
        self.exact += gold == predicted
        for label in predicted:
            self.predicted[label] += 1
        for label in gold:
            self.gold[label] += 1
            self.hits[label] += label in predicted
            self.own[label] += record["probabilities"][label]
        if gold != predicted and "gold_labels" not in record:
            self.wrong[record["predicted"]].append(record["probability"])

    def figures(self, *, thresholds: Mapping[str, float]) -> tuple[LabelFigures, ...]:
        """Return the figures of each label that occurs, those with most gold labels first.

        Args:
            thresholds: What `thresholds` returned.
        """
        labels = sorted(
            self.gold.keys() | self.predicted, key=lambda each: (-self.gold[each], each)
        )
        return tuple(self._figures(label, thresholds.get(label)) for label in labels)

    def _figures(self, label: str, threshold: float | None) -> LabelFigures:
        gold, predicted, hits = self.gold[label], self.predicted[label], self.hits[label]
        return LabelFigures(
            label,
            gold,
            mean(hits, predicted),
            mean(hits, gold),
            rounded(2 * hits / (gold + predicted)),
            threshold,
        )

    def thresholds(self) -> dict[str, float]:
        """Return the mean probability of each label in the rows with this gold label."""
        return {label: rounded(total / self.gold[label]) for label, total in self.own.items()}

    def mislabelled(self, thresholds: Mapping[str, float]) -> int:
        """Return how many rows `mislabelled_margin` finds with these thresholds."""
        counts = (
            sum(probability >= thresholds[label] for probability in probabilities)
            for label, probabilities in self.wrong.items()
            if label in thresholds
        )
        return sum(counts)

    def macro_f1(self) -> float | None:
        """Return the mean F1 of the labels that occur; None without rows."""
        scores = [each.f1 for each in self.figures(thresholds={})]
        return mean(fsum(scores), len(scores))

    def micro_f1(self) -> float | None:
        """Return the F1 of all labels together; None without rows."""
        return mean(2 * self.hits.total(), self.gold.total() + self.predicted.total())


def largest_first(
    figures: Mapping[str, Mapping[str, Any]],
) -> list[tuple[str, Mapping[str, Any]]]:
    """Return labels or slices of a summary with their figures, those with most rows first."""
    return sorted(figures.items(), key=lambda each: (-each[1]["rows"], each[0]))


def mislabelled_margin(record: Record, thresholds: Mapping[str, float]) -> float | None:
    """Return by how much the predicted label is more probable than the gold label it contradicts.

    None unless the prediction is wrong and its probability reaches the label's threshold. These
    rows are off the diagonal of the confident joint (Northcutt et al. 2021) where the confident
    label is the predicted one.

    Args:
        record: The record of an explained row.
        thresholds: What `LabelCounts.thresholds` returned; empty where gold labels are not doubted.
    """
    predicted, gold = record["predicted"], record["gold"]
    if predicted not in thresholds or gold == predicted or gold not in record["probabilities"]:
        return None
    probability: float = record["probability"]
    if probability < thresholds[predicted]:
        return None
    return rounded(probability - record["probabilities"][gold])


def doubt_thresholds(counts: Mapping[str, Any] | None) -> dict[str, float]:
    """Return each label's threshold from a run's summary; empty where it has none."""
    labels = (counts or {}).get("labels", {}).items()
    return {label: of["threshold"] for label, of in labels if of["threshold"] is not None}
