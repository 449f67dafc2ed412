"""All figures about gold labels, from one pass over the records in their order.

Memory is bounded but for the probabilities that calibration is computed from: of a million rows 21
MiB, and 96 while they are sorted.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from saliency_cli.figures.calibration import Calibration, squared_error
from saliency_cli.figures.correctness import prediction_is_correct
from saliency_cli.figures.labels import CALIBRATED, LabelCounts
from saliency_cli.figures.regression import RegressionCounts, gold_number
from saliency_cli.figures.rounding import mean, rounded
from saliency_cli.figures.slices import (
    ColumnCounts,
    SliceCounts,
    compared_slices,
    slice_values,
)
from saliency_cli.records import Record


@dataclass(slots=True)
class RunFigures:
    """Collects what the figures are computed from.

    Attributes:
        threshold: Probability from which a label of a multi-label model counts as predicted.
        is_multi_label: Whether a row has several gold labels.
        calibration: The probabilities of the predictions.
        labels: Gold and predicted labels.
        regression: Gold numbers and values.
        columns: The slices, by column.
        brier: Sum of the squared errors of the probabilities.
    """

    threshold: float = 0.5
    is_multi_label: bool = False
    calibration: Calibration = field(default_factory=Calibration)
    labels: LabelCounts = field(default_factory=LabelCounts)
    regression: RegressionCounts = field(default_factory=RegressionCounts)
    columns: dict[str, ColumnCounts] = field(default_factory=lambda: defaultdict(ColumnCounts))
    brier: float = 0.0

    def add(self, record: Record) -> None:
        """Add one record; a quarantined row has no figures."""
        if record["status"] != "ok":
            return
        counts = [
            self.columns[column].slice_of(value) for column, value in slice_values(record).items()
        ]
        has_gold = record["gold"] is not None and record.get("gold_labels") != []
        for each in counts:
            each.rows += 1
            each.gold_rows += has_gold
        if record["predicted"] is None:
            self._add_value(record, counts)
        else:
            self._add_prediction(record, counts)

    def _add_value(self, record: Record, slices: list[SliceCounts]) -> None:
        gold = gold_number(record)
        if gold is None:
            return
        self.regression.add(gold, record["value"])
        for each in slices:
            each.numbers += 1
            each.absolute += abs(record["value"] - gold)

    def _add_prediction(self, record: Record, slices: list[SliceCounts]) -> None:
        correct = prediction_is_correct(record)
        if correct is None and "gold_labels" not in record:
            return
        gold, predicted = self._labels_of(record)
        self.labels.add(record, gold, predicted)
        self.brier += squared_error(record["probabilities"].items(), gold)
        for each in slices:
            each.add_labels(gold, predicted)
        if correct is None:  # an empty list of gold labels: the most probable one is not judged
            return
        self.calibration.add(record["probability"], correct=correct)
        for each in slices:
            each.correct[correct] += 1
            each.calibration.add(record["probability"], correct=correct)

    def _labels_of(self, record: Record) -> tuple[list[str], list[str]]:
        """Return the gold and the predicted labels of a row."""
        if "gold_labels" not in record:
            return [record["gold"]], [record["predicted"]]
        self.is_multi_label = True
        shares = record["probabilities"].items()
        return record["gold_labels"], [label for label, p in shares if p >= self.threshold]

    def thresholds(self) -> dict[str, float]:
        """Return from which probability on a prediction of each label casts doubt on another one.

        Empty where probabilities are badly calibrated, and for a multi-label model.
        """
        error = self.calibration.error()
        if error is None or error > CALIBRATED or self.is_multi_label:
            return {}
        return self.labels.thresholds()

    def summary(self) -> dict[str, Any]:
        """Return the figures as the summary has them, by the names of its fields."""
        error, thresholds = self.calibration.error(), self.thresholds()
        slices: dict[str, dict[str, Any]] = {}
        for each in compared_slices(self.columns):
            slices.setdefault(each.column, {})[each.value] = each.summary()
        multi = self.is_multi_label
        labels = self.labels.figures(thresholds=thresholds)
        return {
            "ece": None if error is None else rounded(error),
            "brier": mean(self.brier, self.labels.rows),
            "macro_f1": self.labels.macro_f1(),
            "micro_f1": self.labels.micro_f1() if multi else None,
            "exact_match": mean(self.labels.exact, self.labels.rows) if multi else None,
            "mislabelled": self.labels.mislabelled(thresholds) if thresholds else None,
            **self.regression.summary(),
            "calibration": [each.summary() for each in self.calibration.bins()],
            "labels": {each.label: each.summary() for each in labels},
            "slices": slices,
        }
