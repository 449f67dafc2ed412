"""Slices: the rows that share a value of a column, a length or a script, and how each does."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from saliency_cli.figures.calibration import Calibration
from saliency_cli.figures.chance import excess_p_value, holm, wilson_interval
from saliency_cli.figures.rounding import mean, rounded
from saliency_cli.figures.scripts import script_of
from saliency_cli.records import Record

LENGTH, SCRIPT = "length", "script"
"""The columns of the automatic slices; a column of the input of this name replaces one."""
BANDS = (0, 16, 32, 64, 128, 256, 512)
"""Lengths in tokens, special tokens not counted: a slice has those above one and up to the next."""
BAND_NAMES = (*(f"{above + 1}-{most}" for above, most in pairwise(BANDS)), f"over {BANDS[-1]}")
MOST_VALUES = 50
"""Largest slices of a column that are kept; all others are one more slice."""
MOST_COUNTED = 2_000
"""Values of a column that are counted apart: rows of values first seen after these are others."""
OTHER_VALUES = "(other values)"
ALPHA = 0.01
"""A slice is weak if rows like these would be wrong as often by chance in fewer runs than this."""


def slice_values(record: Record) -> dict[str, str]:
    """Return the value of each column for an explained row, automatic slices first."""
    text = record["text"] if record["pair"] is None else f"{record['text']} {record['pair']}"
    automatic = {LENGTH: _band(record["special"].count(False)), SCRIPT: script_of(text)}
    return {**automatic, **record.get("slices", {})}


def _band(tokens: int) -> str:
    return BAND_NAMES[bisect_left(BANDS, tokens, lo=1) - 1]


@dataclass(slots=True)
class SliceCounts:
    """Counts the rows of one slice.

    Attributes:
        rows: Explained rows, and `gold_rows` those with a gold label or number.
        correct: Rows by whether the prediction is correct, of those whose gold the model has.
        gold: Rows by gold label, and `hits` those that are predicted so.
        calibration: The probabilities of the predictions.
        absolute: Sum of a regression's absolute errors, over `numbers` rows.
    """

    rows: int = 0
    gold_rows: int = 0
    correct: Counter[bool] = field(default_factory=Counter)
    gold: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    calibration: Calibration = field(default_factory=Calibration)
    absolute: float = 0.0
    numbers: int = 0

    @property
    def gold_known(self) -> int:
        """Rows with a gold label that the model has."""
        return self.correct.total()

    def add_labels(self, gold: list[str], predicted: list[str]) -> None:
        """Count the gold and the predicted labels of one row."""
        for label in gold:
            self.gold[label] += 1
            self.hits[label] += label in predicted

    def join(self, other: "SliceCounts") -> None:
        """Add the rows of another slice."""
        self.rows += other.rows
        self.gold_rows += other.gold_rows
        self.correct += other.correct
        self.gold += other.gold
        self.hits += other.hits
        self.calibration.join(other.calibration)
        self.absolute += other.absolute
        self.numbers += other.numbers


def is_weak(p_value: float | None) -> bool:
    """Whether a slice with this p-value is worse than the other rows beyond chance."""
    return p_value is not None and p_value < ALPHA


@dataclass(frozen=True, slots=True)
class Slice:
    """The figures of one slice.

    Attributes:
        column: The column, or `LENGTH` or `SCRIPT`.
        value: Its value.
        rows: Explained rows, and `gold_rows` those with a gold label or number.
        gold_known: Rows with a gold label that the model has.
        accuracy: Share of these predicted correctly; None if there is none.
        interval: Its 95 % interval.
        recall: Share of the rows of each gold label that are predicted so.
        ece: Expected calibration error.
        mae: Mean absolute error of a regression.
        p_value: How often chance makes a slice so much worse than the other rows of its column, in
            any of all slices (Fisher, Holm); None where nothing can be compared.
    """

    column: str
    value: str
    rows: int
    gold_rows: int
    gold_known: int
    accuracy: float | None
    interval: tuple[float, float] | None
    recall: Mapping[str, float]
    ece: float | None
    mae: float | None
    p_value: float | None = None

    def summary(self) -> dict[str, Any]:
        """Return the figures as the summary has them."""
        names = ("rows", "gold_rows", "gold_known", "accuracy", "ece", "mae", "p_value")
        figures = {name: getattr(self, name) for name in names}
        interval = None if self.interval is None else [*self.interval]
        return {**figures, "interval": interval, "recall": dict(self.recall)}


def figures_of(column: str, value: str, counts: SliceCounts) -> Slice:
    """Return the figures of a slice, not yet compared with other rows.

    Args:
        column: The column.
        value: Its value.
        counts: What was counted.
    """
    known, error = counts.gold_known, counts.calibration.error()
    low_high = wilson_interval(counts.correct[True], known) if known else None
    return Slice(
        column,
        value,
        counts.rows,
        counts.gold_rows,
        known,
        mean(counts.correct[True], known),
        None if low_high is None else (rounded(low_high[0]), rounded(low_high[1])),
        {label: rounded(counts.hits[label] / rows) for label, rows in sorted(counts.gold.items())},
        None if error is None else rounded(error),
        mean(counts.absolute, counts.numbers),
    )


@dataclass(slots=True)
class ColumnCounts:
    """Counts the rows of each value of one column."""

    values: dict[str, SliceCounts] = field(default_factory=dict)

    def slice_of(self, value: str) -> SliceCounts:
        """Return the slice that a row with this value belongs to."""
        if value not in self.values:
            if len(self.values) >= MOST_COUNTED:
                value = OTHER_VALUES
            self.values.setdefault(value, SliceCounts())
        return self.values[value]

    def largest(self) -> dict[str, SliceCounts]:
        """Return the largest slices, largest first; all others are the last one, together."""
        ordered = sorted(self.values.items(), key=lambda each: (-each[1].rows, each[0]))
        own = [each for each in ordered if each[0] != OTHER_VALUES]
        kept = dict(own[:MOST_VALUES])
        others = own[MOST_VALUES:] + [each for each in ordered if each[0] == OTHER_VALUES]
        if others:
            kept[OTHER_VALUES] = SliceCounts()
            for _value, counts in others:
                kept[OTHER_VALUES].join(counts)
        return kept


def compared_slices(columns: Mapping[str, ColumnCounts]) -> tuple[Slice, ...]:
    """Return the figures of all slices, each compared with the other rows of its column.

    Args:
        columns: What was counted, by column.
    """
    found = [
        (figures_of(column, value, counts), p_value)
        for column, each in columns.items()
        for value, counts, p_value in _with_p_values(each.largest())
    ]
    adjusted = iter(holm([p_value for _, p_value in found if p_value is not None]))
    return tuple(
        each if p_value is None else replace(each, p_value=rounded(next(adjusted)))
        for each, p_value in found
    )


def _with_p_values(
    counted: Mapping[str, SliceCounts],
) -> Iterator[tuple[str, SliceCounts, float | None]]:
    """Yield each slice with its p-value; None where there are no other rows, or it has no gold."""
    rows = sum(each.gold_known for each in counted.values())
    wrong = sum(each.correct[False] for each in counted.values())
    for value, each in counted.items():
        if not 0 < each.gold_known < rows or value == OTHER_VALUES:
            yield value, each, None
        else:
            own = each.correct[False], each.gold_known
            yield value, each, excess_p_value(*own, all_wrong=wrong, all_rows=rows)
