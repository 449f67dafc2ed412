"""Means of a change over rows and over slices, with intervals from a bootstrap in one pass.

A bootstrap draws as many rows as there are, with replacement. How often a row is drawn is nearly
Poisson with mean 1, and independent of the other rows, so that the counts can be drawn while the
rows are read (the Poisson bootstrap: Hanley and MacGibbon 2006). The counts are keyed by the row's
number: the same rows give the same interval.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from saliency_cli.figures.rounding import rounded

RESAMPLES = 200
BLOCK = 2_048
"""Rows whose counts are drawn together: 3 MiB."""
_KEY = 20_261_129
_BOUNDS = (0.025, 0.975)
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class PairedMean:
    """The mean of a change.

    Attributes:
        rows: number of rows.
        mean: their mean.
        error: its standard error.
        interval: its 95 % interval.
    """

    rows: int
    mean: float
    error: float
    interval: tuple[float, float]


@dataclass(slots=True)
class _Sums:
    """Sums of one group: over its rows, and over each resample, [R]."""

    rows: int = 0
    total: float = 0.0
    totals: Tensor = field(default_factory=lambda: torch.zeros(RESAMPLES, dtype=torch.float64))
    counts: Tensor = field(default_factory=lambda: torch.zeros(RESAMPLES, dtype=torch.float64))

    def result(self) -> PairedMean:
        resampled = (self.totals / self.counts)[self.counts > 0]  # a small group may not be drawn
        low, high = torch.quantile(resampled, torch.tensor(_BOUNDS, dtype=torch.float64)).tolist()
        error = float(resampled.std(correction=0))
        mean = self.total / self.rows
        return PairedMean(self.rows, rounded(mean), rounded(error), (rounded(low), rounded(high)))


class PairedMeans(Generic[Key]):
    """Collects the change of each row, for each group that the row is in.

    Attributes:
        sums: what was added of each group, without the rows of the last block.
    """

    def __init__(self) -> None:
        self.sums: dict[Key, _Sums] = {}
        self._values: list[float] = []
        self._members: dict[Key, list[int]] = {}
        self._generator = torch.Generator().manual_seed(_KEY)

    def add(self, value: float, groups: Sequence[Key]) -> None:
        """Add the change of one row.

        Args:
            value: the change.
            groups: the groups that the row is in.
        """
        for group in groups:
            self._members.setdefault(group, []).append(len(self._values))
        self._values.append(value)
        if len(self._values) == BLOCK:
            self._flush()

    def _flush(self) -> None:
        values = torch.tensor(self._values, dtype=torch.float64)
        ones = torch.ones(len(values), RESAMPLES)
        drawn = torch.poisson(ones, generator=self._generator).double()  # [rows, R]
        for group, members in self._members.items():
            own, counts = values[members], drawn[members]
            sums = self.sums.setdefault(group, _Sums())
            sums.rows += len(members)
            sums.total += float(own.sum())
            sums.totals += own @ counts
            sums.counts += counts.sum(0)
        self._values, self._members = [], {}

    def results(self) -> dict[Key, PairedMean]:
        """Return the mean of each group that has a row."""
        if self._values:
            self._flush()
        return {group: sums.result() for group, sums in self.sums.items()}
