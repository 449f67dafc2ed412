"""Maps scores to shades, on one fixed scale for every text of every run.

A shade is a range of shares of a text's total saliency; each range is twice as wide as the one
below. On a fixed scale, a text without a strong word gets no strong shade, and two reports can be
compared. The colours are in the style sheet.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from saliency_cli.report.number_format import MINUS

BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""The smallest absolute share of shades 1 to 6; shade 0 has no colour."""


@dataclass(frozen=True, slots=True)
class Shade:
    """One step of the legend: its CSS class, and its range of shares as text."""

    css: str
    label: str


def shade(score: float, error: float | None = None) -> str:
    """Return the CSS class of a score: `s0` to `s6`, or `n1` to `n6` if it is negative.

    A score within its error has no shade: its sign, or whether there is anything, is undecided.

    Args:
        score: The share of the text's saliency, -1 to 1.
        error: Its standard error, or None.
    """
    level = 0 if is_undecided(score, error) else bisect_right(BOUNDS, abs(score))
    return f"{'n' if score < 0 and level else 's'}{level}"


def is_undecided(score: float, error: float | None) -> bool:
    """Whether a score is not larger than its error."""
    return bool(error) and abs(score) <= (error or 0)


def heat(share: float) -> int:
    """Return the step of a share (0 to 1) in a table: 0 for none, else 1 to 6, of equal width."""
    return min(ceil(6 * share), 6)


def legend(*, signed: bool) -> list[Shade]:
    """Return the steps of the scale in ascending order; negative ones only if scores are signed."""
    positive = [Shade("s0", f"under {100 * BOUNDS[0]:.0f} %"), *_steps("s", "", "more")]
    return [*reversed(_steps("n", MINUS, "lower")), *positive] if signed else positive


def _steps(css: str, sign: str, beyond: str) -> list[Shade]:
    """Return shades 1 to 6 of one sign: −1 % to −2 %, …, −32 % or lower."""
    edges = [f"{sign}{100 * bound:.0f} %" for bound in BOUNDS]
    labels = [*map(" to ".join, pairwise(edges)), f"{edges[-1]} or {beyond}"]
    return [Shade(f"{css}{level}", label) for level, label in enumerate(labels, start=1)]
