"""Values of a regression against gold numbers."""

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

from saliency_cli.figures.rounding import mean, rounded
from saliency_cli.records import Record


def gold_number(record: Record) -> float | None:
    """Return the gold number of a row; None if it has none."""
    try:
        number = float(record["gold"])
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


@dataclass(slots=True)
class RegressionCounts:
    """Sums over the rows with a gold number.

    Attributes:
        rows: How many there are.
        absolute: Sum of the absolute errors; `squares` of the squared ones.
        means: Mean gold number and mean value. `moments`: sums of the products of the deviations
            from them: gold by gold, value by value, gold by value (Welford 1962).
    """

    rows: int = 0
    absolute: float = 0.0
    squares: float = 0.0
    means: tuple[float, float] = (0.0, 0.0)
    moments: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def add(self, gold: float, value: float) -> None:
        """Add the gold number and the value of one row."""
        self.rows += 1
        self.absolute += abs(value - gold)
        self.squares += (value - gold) ** 2
        before = gold - self.means[0], value - self.means[1]
        first, second = self.means
        self.means = first + before[0] / self.rows, second + before[1] / self.rows
        after = gold - self.means[0], value - self.means[1]
        changes = before[0] * after[0], before[1] * after[1], before[0] * after[1]
        a, b, c = (total + each for total, each in zip(self.moments, changes, strict=True))
        self.moments = a, b, c

    def summary(self) -> dict[str, Any]:
        """Return the figures as the summary has them; `pearson` is None where one is constant."""
        if not self.rows:
            return {}
        spread = sqrt(self.moments[0]) * sqrt(self.moments[1])
        return {
            "mae": mean(self.absolute, self.rows),
            "rmse": rounded(sqrt(self.squares / self.rows)),
            "pearson": rounded(self.moments[2] / spread) if spread else None,
        }
