"""Scores -> shades: one fixed scale for every text of every run.

A shade is a range of shares of the text's whole saliency, each twice as wide as the one below, so
that a flat text looks flat and two reports can be laid side by side. The colours are in the style
sheet.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""The least share of shades 1, 2 … 6; shade 0 is no shade."""


@dataclass(frozen=True, slots=True)
class Shade:
    """One step of the legend."""

    css: str
    label: str


def shade(score: float) -> str:
    """Return the class of a score: `s0` to `s6`, or `n1` to `n6` where it is negative."""
    level = bisect_right(BOUNDS, abs(score))
    return f"{'n' if score < 0 and level else 's'}{level}"


def heat(share: float) -> int:
    """Return the step of a share between 0 and 1 in a table: 0 for none, then 1 to 6, all alike."""
    return min(ceil(6 * share), 6)


def legend(*, signed: bool) -> list[Shade]:
    """Return the steps of the scale, from the most negative there is to the most positive."""
    edges = [f"{bound:.0%}" for bound in BOUNDS]
    ranges = [f"{low}–{high}" for low, high in pairwise(edges)]
    labels = [f"under {edges[0]}", *ranges, f"{edges[-1]} or more"]
    shades = [Shade(f"s{level}", label) for level, label in enumerate(labels)]
    if not signed:
        return shades
    against = [Shade(f"n{level}", label) for level, label in enumerate(labels) if level]
    return [*reversed(against), *shades]
