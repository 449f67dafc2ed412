"""Where the model is weak: what the page shows of the figures of labels, slices and calibration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from saliency_cli.analysis.even_sample import EvenSample
from saliency_cli.analysis.finding import EXAMPLE_ROWS
from saliency_cli.analysis.suspects import Suspect, SuspectCounts
from saliency_cli.analysis.word_shares import RowStats
from saliency_cli.figures.labels import CALIBRATED, largest_first
from saliency_cli.figures.regression import gold_number
from saliency_cli.figures.slices import ALPHA, BAND_NAMES, LENGTH, is_weak, slice_values

MOST_SUSPICIOUS = 3
"""Weak slices, the least likely by chance, whose own suspects are looked for; each keeps the counts
of its words."""
SUSPECTS_OF_A_SLICE = 3
SLICE_PAIRS = 10_000
"""Pairs of label and word that are counted for each: a fifth of the memory of the run's."""
POINTS = 500
"""Most points of the scatter chart; of more rows every second, fourth, ... has one."""
LIMITS_OF_WEAKNESS = {
    "labels": 30,  # in the table, those with most gold labels
    "slices": 12,  # in the table of a column, the largest
    "ece_rows": 150,  # of a slice whose calibration error is shown: ten in each bin
    "alpha": ALPHA,
    "calibrated": CALIBRATED,
}
"""For the page's text."""


@dataclass(frozen=True, slots=True)
class SliceView:
    """One slice on the page.

    Attributes:
        column: the column.
        value: its value.
        figures: the figures that the summary has.
        is_weak: whether it is worse than the other rows beyond chance.
        wrong_rows: the ordinals of the first wrong rows of a weak slice.
        suspects: shortcut suspects among the rows of a weak slice alone.
    """

    column: str
    value: str
    figures: Mapping[str, Any]
    is_weak: bool
    wrong_rows: list[int] = field(default_factory=list)
    suspects: tuple[Suspect, ...] = ()


@dataclass(frozen=True, slots=True)
class Scatter:
    """Gold numbers and values of a regression, as positions in a square of side 1.

    Attributes:
        points: gold number across, value upwards.
        low: the number at position 0 of both axes, and `high` that at 1.
    """

    points: tuple[tuple[float, float], ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Weakness:
    """What the section shows.

    Attributes:
        figures: the run's summary; empty where there are no figures.
        labels: each label with its figures, those with most rows first.
        weak: the weak slices, the least likely by chance first.
        columns: the slices of each column that has more than one: lengths in their order, of
            other columns the weak ones first.
        scatter: the points of a regression; None without gold numbers.
    """

    figures: Mapping[str, Any]
    labels: tuple[tuple[str, Mapping[str, Any]], ...]
    weak: tuple[SliceView, ...]
    columns: Mapping[str, tuple[SliceView, ...]]
    scatter: Scatter | None
    example_rows: tuple[int, ...] = ()

    @property
    def priority_rows(self) -> Iterator[int]:
        """The first wrong rows of the weak slices."""
        return (row for each in self.weak for row in each.wrong_rows)


class WeaknessCollector:
    """Collects the rows that the section shows: wrong ones of weak slices, points of a scatter."""

    def __init__(self, counts: Mapping[str, Any] | None) -> None:
        """Prepare for a run.

        Args:
            counts: the run's summary; None for none.
        """
        self._counts = counts or {}
        columns = self._counts.get("slices", {}).items()
        self._slices = [
            SliceView(column, value, figures, is_weak(figures["p_value"]))
            for column, values in columns
            for value, figures in largest_first(values)
        ]
        self._weak = sorted(
            (each for each in self._slices if each.is_weak),
            key=lambda each: (each.figures["p_value"], each.column, each.value),
        )
        self._suspects = [
            SuspectCounts(max_pairs=SLICE_PAIRS) for _ in self._weak[:MOST_SUSPICIOUS]
        ]
        self._points = EvenSample[tuple[float, float]](POINTS // 2)

    def add(self, row: RowStats) -> None:
        """Add one row."""
        if row.record["predicted"] is None:
            gold = gold_number(row.record)
            if gold is not None:
                self._points.add((gold, row.record["value"]))
        elif self._weak:
            self._add_to_slices(row)

    def _add_to_slices(self, row: RowStats) -> None:
        values = slice_values(row.record)
        for each, suspects in zip_longest(self._weak, self._suspects):
            if values.get(each.column) != each.value:
                continue
            if suspects is not None:
                suspects.add(row)
            if row.correct is False and len(each.wrong_rows) < EXAMPLE_ROWS:
                each.wrong_rows.append(row.record["ordinal"])

    def result(self) -> Weakness:
        """Return what the section shows."""
        found = [each.result()[0][:SUSPECTS_OF_A_SLICE] for each in self._suspects]
        weak = [
            replace(each, suspects=suspects or ())
            for each, suspects in zip_longest(self._weak, found)
        ]
        columns: dict[str, list[SliceView]] = {}
        for each in (*weak, *(each for each in self._slices if not each.is_weak)):
            columns.setdefault(each.column, []).append(each)
        if LENGTH in columns:  # a column of the input may have this name, and other values
            place = {name: number for number, name in enumerate(BAND_NAMES)}
            columns[LENGTH].sort(key=lambda each: place.get(each.value, len(place)))
        return Weakness(
            self._counts,
            tuple(largest_first(self._counts.get("labels", {}))),
            tuple(weak),
            {name: tuple(each) for name, each in columns.items() if len(each) > 1},
            _scatter(self._points.held),
        )


def _scatter(points: list[tuple[float, float]]) -> Scatter | None:
    if not points:
        return None
    low, high = (pick(map(pick, points)) for pick in (min, max))
    side = high - low or 1.0
    return Scatter(
        tuple(((gold - low) / side, (value - low) / side) for gold, value in points), low, high
    )
