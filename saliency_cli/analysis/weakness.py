"""Where the model is weak: figures of labels and slices, calibration, and a regression's errors."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from saliency_cli.analysis.word_shares import RowStats
from saliency_cli.figures.calibration import CalibrationBin
from saliency_cli.figures.labels import CALIBRATED, LabelFigures
from saliency_cli.figures.run_figures import RunFigures
from saliency_cli.figures.slices import ALPHA, Slice, weakest_first

LABELS_SHOWN = 30
"""Labels in the table, those with most gold labels."""
SLICES_SHOWN = 12
"""Slices that are shown of a column."""
FEWEST_FOR_ECE = 150
"""Rows from which the calibration error of a slice is shown: ten in each bin. With fewer it is
large by chance alone."""

LIMITS_OF_WEAKNESS = {
    "labels": LABELS_SHOWN,
    "slices": SLICES_SHOWN,
    "ece_rows": FEWEST_FOR_ECE,
    "alpha": ALPHA,
    "calibrated": CALIBRATED,
}
"""For the page's text."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """Gold numbers and values of a regression, as positions in a square of side 1.

    Attributes:
        points: Gold number across, value upwards.
        low: The number at position 0 of both axes, and `high` that at 1.
    """

    points: tuple[tuple[float, float], ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Weakness:
    """What the section shows.

    Attributes:
        figures: The figures that are one number, by their names in the summary.
        labels: The figures of the labels, those with most rows first.
        bins: Predictions by probability, for the reliability chart.
        weak: The slices that are worse than the others beyond chance, the worst evidence first.
        columns: All slices of the columns that have more than one, by column.
        scatter: The points of a regression; None without gold numbers.
    """

    figures: Mapping[str, Any]
    labels: tuple[LabelFigures, ...]
    bins: tuple[CalibrationBin, ...]
    weak: tuple[Slice, ...]
    columns: Mapping[str, tuple[Slice, ...]]
    scatter: Scatter | None
    example_rows: tuple[int, ...] = ()

    @property
    def priority_rows(self) -> Iterator[int]:
        """The first wrong rows of the weak slices."""
        return (row for each in self.weak for row in each.wrong_rows)


@dataclass(slots=True)
class WeaknessCollector:
    """Collects the figures about gold labels."""

    figures: RunFigures

    def add(self, row: RowStats) -> None:
        """Add one row."""
        self.figures.add(row.record)

    def result(self) -> Weakness:
        """Return what the section shows."""
        slices = weakest_first(self.figures.slices())
        weak = tuple(each for each in slices if each.is_weak)
        columns: dict[str, list[Slice]] = {}
        for each in slices:
            columns.setdefault(each.column, []).append(each)
        return Weakness(
            self.figures.summary(),
            self.figures.label_figures(),
            self.figures.calibration.bins(),
            weak,
            {name: tuple(each) for name, each in columns.items() if len(each) > 1},
            _scatter(self.figures.regression.points),
        )


def _scatter(points: list[tuple[float, float]]) -> Scatter | None:
    if not points:
        return None
    low, high = (pick(map(pick, points)) for pick in (min, max))
    side = high - low or 1.0
    return Scatter(
        tuple(((gold - low) / side, (value - low) / side) for gold, value in points), low, high
    )


def doubt_thresholds(manifest: Mapping[str, Any]) -> dict[str, float]:
    """Return each label's threshold from a finished run's summary; empty where it has none."""
    labels = manifest["counts"]["labels"].items()
    return {label: of["threshold"] for label, of in labels if of["threshold"] is not None}
