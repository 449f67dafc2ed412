"""The summary of a run, and the sums that it is computed from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from saliency_cli.figures.rounding import mean
from saliency_cli.figures.run_figures import RunFigures
from saliency_cli.figures.slices import is_weak
from saliency_cli.records import Record

FLIP_RATE_WARNING = 0.1
"""Above this flip rate the noise changes the prediction too often for its explanation to hold."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures that `--json` prints, gates name and the report shows.

    Attributes:
        rows: Number of input rows, `ok` plus `quarantined`.
        ok: Number of explained rows.
        quarantined: Number of rows that could not be read or explained.
        gold_rows: Number of rows with a predicted label that have a gold label.
        gold_known: Number of those whose gold label is one of the model's.
        accuracy: Share of correct predictions among the `gold_known` rows; None if there is none.
        mean_probability: Mean probability of the predicted label; None if no row has one.
        flip_rate: Mean share of noisy passes that predict another label than the clean pass; None
            for a method that has none.
        special_share: Mean share of the saliency on special tokens.
        samples: Mean number of random samples per row; None for a method that draws none.
        truncated: Number of rows whose text was cut to the maximum length.
        ece: Expected calibration error of the predicted label, in 15 bins of equal mass.
        brier: Mean squared error of the probabilities, summed over the labels.
        macro_f1: Mean F1 of the labels that occur.
        micro_f1: F1 of all labels together, of a multi-label model.
        exact_match: Share of rows of which all labels are predicted and no other, likewise.
        mae: Mean absolute error of a regression.
        rmse: Root of its mean squared error.
        pearson: Correlation of its values with the gold numbers.
        mislabelled: Number of rows whose gold label may be wrong.
        calibration: Rows, mean probability and accuracy of each bin of `ece`.
        labels: Figures of each label that occurs.
        slices: Figures of each slice, by column and value.

    The means are over the explained rows, and None if there is none. From `ece` on the figures are
    over the rows whose gold labels the model has, and None where they have no meaning.
    """

    rows: int
    ok: int
    quarantined: int
    gold_rows: int
    gold_known: int
    accuracy: float | None
    mean_probability: float | None
    flip_rate: float | None
    special_share: float | None
    samples: float | None
    truncated: int
    ece: float | None = None
    brier: float | None = None
    macro_f1: float | None = None
    micro_f1: float | None = None
    exact_match: float | None = None
    mae: float | None = None
    rmse: float | None = None
    pearson: float | None = None
    mislabelled: int | None = None
    calibration: Sequence[Mapping[str, float]] = ()
    labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    slices: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)

    def numbers(self) -> dict[str, float | None]:
        """Return the figures that are one number, by name."""
        return {name: getattr(self, name) for name in NUMBERS}

    def weak_slices(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """Return column, value and figures of each weak slice, the least likely by chance first."""
        found = [
            (column, value, figures)
            for column, values in self.slices.items()
            for value, figures in values.items()
            if is_weak(figures["p_value"]) and figures["accuracy"] is not None
        ]
        return sorted(found, key=lambda each: (each[2]["p_value"], *each[:2]))

    @property
    def exit_code(self) -> int:
        """0, or 4 if rows are quarantined."""
        return 4 if self.quarantined else 0

    @property
    def gold_unknown(self) -> int:
        """Number of rows whose gold label is none of the model's."""
        return self.gold_rows - self.gold_known

    @property
    def wrong(self) -> int | None:
        """Number of wrong predictions among the `gold_known` rows; None if there is none.

        It follows from the accuracy, whose seven digits are enough for ten million rows.
        """
        return None if self.accuracy is None else round(self.gold_known * (1 - self.accuracy))

    @property
    def accuracy_text(self) -> str | None:
        """The accuracy in percent, and the rows that it covers if it does not cover all."""
        if self.accuracy is None:
            return None
        covers = f" over {self.gold_known} of {self.gold_rows} rows with a gold label"
        return f"{self.accuracy:.1%}{covers if self.gold_unknown else ''}"


NESTED = ("calibration", "labels", "slices")
"""The figures of a summary that are several numbers."""
NUMBERS = tuple(each.name for each in fields(Summary) if each.name not in NESTED)
"""The figures of a summary that are one number."""


@dataclass(slots=True)
class SummaryCounts:
    """The sums that a summary is computed from.

    Attributes:
        labels: The labels of the model.
        gold_rows: Number of rows with a predicted label that have a gold label.
        gold_known: Number of those whose gold label is one of the model's.
        correct: How many of the last are predicted correctly.
        with_probability: Number of rows whose prediction has a probability.
        probability: Sum of the probabilities of the predicted labels; `flip_rate`, `special_share`
            and `samples` are sums over the explained rows, too.
        drawn: Number of rows with samples; `noisy` of those with a flip rate.
        unconverged: Number of rows whose errors are larger than was asked for.
    """

    labels: tuple[str, ...]
    ok: int = 0
    quarantined: int = 0
    gold_rows: int = 0
    gold_known: int = 0
    correct: int = 0
    truncated: int = 0
    samples: int = 0
    drawn: int = 0
    noisy: int = 0
    with_probability: int = 0
    probability: float = 0.0
    flip_rate: float = 0.0
    special_share: float = 0.0
    unconverged: int = 0

    @property
    def rows(self) -> int:
        """Number of rows that were added."""
        return self.ok + self.quarantined

    def sums(self) -> dict[str, float]:
        """Return all sums by field name."""
        return {name: getattr(self, name) for name in _SUM_FIELDS}

    def add_sums(self, sums: dict[str, float]) -> None:
        """Add the sums of another part of the run, as `sums` returns them."""
        for name in _SUM_FIELDS:
            setattr(self, name, getattr(self, name) + sums[name])

    def add(self, record: Record) -> None:
        """Add one record."""
        if record["status"] != "ok":
            self.quarantined += 1
            return
        self.ok += 1
        self.truncated += record["truncated"]
        if record["samples"] is not None:  # a method that draws at random
            self.drawn += 1
            self.samples += record["samples"]
        if record["flip_rate"] is not None:
            self.noisy += 1
            self.flip_rate += record["flip_rate"]
        self.with_probability += record["probability"] is not None
        self.probability += record["probability"] or 0.0
        self.special_share += record["special_share"]
        named = record.get("gold_labels", [record["gold"]])  # none in an empty list
        if record["predicted"] is not None and record["gold"] is not None and named:
            self.gold_rows += 1
            self.gold_known += {*named} <= {*self.labels}
            self.correct += record["predicted"] in named

    def summary(self, figures: RunFigures | None = None) -> Summary:
        """Return the summary of all records that were added.

        Args:
            figures: The figures about gold labels; None leaves them out, as of a part of a run.
        """
        return Summary(
            rows=self.rows,
            ok=self.ok,
            quarantined=self.quarantined,
            gold_rows=self.gold_rows,
            gold_known=self.gold_known,
            accuracy=mean(self.correct, self.gold_known),
            mean_probability=mean(self.probability, self.with_probability),
            flip_rate=mean(self.flip_rate, self.noisy),
            special_share=mean(self.special_share, self.ok),
            samples=mean(self.samples, self.drawn),
            truncated=self.truncated,
            **(figures.summary() if figures is not None else {}),
        )


_SUM_FIELDS = tuple(each.name for each in fields(SummaryCounts) if each.name != "labels")
_LARGEST_SUM = 2**53
"""A larger sum is of no run; sums of many shards stay finite below it."""


def are_sums(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a JSON value is what `SummaryCounts.sums` returns."""
    if type(value) is not dict or value.keys() != {*_SUM_FIELDS}:
        return False
    return all(type(each) in {int, float} and 0 <= each <= _LARGEST_SUM for each in value.values())


def summarise(records: Iterable[Record], *, labels: tuple[str, ...]) -> Summary:
    """Return the summary of records, with all figures.

    Args:
        records: The records, in input order.
        labels: The labels of the model.
    """
    counts, figures = SummaryCounts(labels), RunFigures()
    for record in records:
        counts.add(record)
        figures.add(record)
    return counts.summary(figures)
