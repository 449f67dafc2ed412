"""The summary of a run, and the sums that it is computed from."""

from dataclasses import dataclass, fields
from typing import Any

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

    The means are over the explained rows, and None if there is none.
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

    @property
    def exit_code(self) -> int:
        """0, or 4 if rows are quarantined."""
        return 4 if self.quarantined else 0

    @property
    def gold_unknown(self) -> int:
        """Number of rows whose gold label is none of the model's."""
        return self.gold_rows - self.gold_known

    @property
    def accuracy_text(self) -> str | None:
        """The accuracy in percent, and the rows that it covers if it does not cover all."""
        if self.accuracy is None:
            return None
        covers = f" over {self.gold_known} of {self.gold_rows} rows with a gold label"
        return f"{self.accuracy:.1%}{covers if self.gold_unknown else ''}"


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
        if record["predicted"] is not None and record["gold"] is not None:
            self.gold_rows += 1
            self.gold_known += record["gold"] in self.labels
            self.correct += record["gold"] == record["predicted"]

    def summary(self) -> Summary:
        """Return the summary of all records that were added."""
        return Summary(
            rows=self.rows,
            ok=self.ok,
            quarantined=self.quarantined,
            gold_rows=self.gold_rows,
            gold_known=self.gold_known,
            accuracy=_mean(self.correct, self.gold_known),
            mean_probability=_mean(self.probability, self.with_probability),
            flip_rate=_mean(self.flip_rate, self.noisy),
            special_share=_mean(self.special_share, self.ok),
            samples=_mean(self.samples, self.drawn),
            truncated=self.truncated,
        )


_SUM_FIELDS = tuple(field.name for field in fields(SummaryCounts) if field.name != "labels")
_LARGEST_SUM = 2**53
"""A larger sum is of no run; sums of many shards stay finite below it."""


def are_sums(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a JSON value is what `SummaryCounts.sums` returns."""
    if type(value) is not dict or value.keys() != {*_SUM_FIELDS}:
        return False
    return all(type(each) in {int, float} and 0 <= each <= _LARGEST_SUM for each in value.values())


def _mean(total: float, count: int) -> float | None:
    """Return the mean to seven significant digits, or None if nothing was counted."""
    return float(f"{total / count:.7g}") if count else None
