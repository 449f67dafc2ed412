"""Whether the probabilities of predictions are the shares that turn out correct."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import copysign, fsum

from saliency_cli.figures.rounding import rounded

BINS = 15
"""Bins of the expected calibration error, each with as many rows as the others."""


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows of similar probability: how many, their mean probability, and the share correct."""

    rows: int
    probability: float
    accuracy: float

    def summary(self) -> dict[str, float]:
        """Return the bin as the summary has it."""
        shares = {"probability": rounded(self.probability), "accuracy": rounded(self.accuracy)}
        return {"rows": self.rows, **shares}


@dataclass(slots=True)
class Calibration:
    """Collects the probability of each prediction, and whether it is correct.

    Attributes:
        outcomes: The probabilities, with a minus sign where the prediction is wrong. Four bytes a
            row: seven digits, as the records have.
    """

    outcomes: "array[float]" = field(default_factory=lambda: array("f"))

    def add(self, probability: float, *, correct: bool) -> None:
        """Add one prediction."""
        self.outcomes.append(probability if correct else -probability)

    def join(self, other: "Calibration") -> None:
        """Add the predictions of another part."""
        self.outcomes.extend(other.outcomes)

    def bins(self) -> tuple[CalibrationBin, ...]:
        """Return the rows by probability in `BINS` bins of equal mass; fewer of fewer rows."""
        return tuple(_bin(part) for part in self._parts())

    def error(self) -> float | None:
        """Return the expected calibration error (Naeini et al. 2015); None without rows."""
        gaps = [each.rows * abs(each.probability - each.accuracy) for each in self.bins()]
        return fsum(gaps) / len(self.outcomes) if gaps else None

    def _parts(self) -> Iterator[list[float]]:
        """Yield the outcomes of each bin; rows of equal probability are in input order."""
        ordered, rows = sorted(self.outcomes, key=abs), len(self.outcomes)
        # The first bins have one row more where the rows cannot be divided evenly.
        whole, more = divmod(rows, BINS)
        edges = [index * whole + min(index, more) for index in range(BINS + 1)]
        yield from (ordered[start:end] for start, end in pairwise(edges) if end > start)


def _bin(outcomes: list[float]) -> CalibrationBin:
    rows = len(outcomes)
    correct = sum(copysign(1, each) > 0 for each in outcomes)
    return CalibrationBin(rows, fsum(map(abs, outcomes)) / rows, correct / rows)


def squared_error(probabilities: Iterable[tuple[str, float]], gold: Iterable[str]) -> float:
    """Return the Brier score of one row (1950): squared differences, summed over the labels.

    Args:
        probabilities: Each label with its probability.
        gold: The labels that are right.
    """
    right = {*gold}
    return sum((share - (label in right)) ** 2 for label, share in probabilities)
