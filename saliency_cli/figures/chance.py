"""What chance alone explains: intervals of shares, and tests of one group against the others."""

from collections.abc import Sequence
from math import exp, lgamma, sqrt

_QUANTILE = 1.959963984540054
"""Of the normal distribution: 95 % lie within it."""


def wilson_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927).

    Args:
        count: How many of the rows have the property.
        total: How many rows there are; not 0.
    """
    square = _QUANTILE**2
    centre = (count + square / 2) / (total + square)
    spread = _QUANTILE * sqrt(count * (total - count) / total + square / 4) / (total + square)
    return max(0.0, centre - spread), min(1.0, centre + spread)


def excess_p_value(wrong: int, rows: int, *, all_wrong: int, all_rows: int) -> float:
    """Return the p-value of Fisher's exact test, one-sided: a group has more wrong rows by chance.

    1 for a group with no more of them than its part of all rows.

    Args:
        wrong: Wrong rows of the group.
        rows: Rows of the group.
        all_wrong: Wrong rows, those of the group included.
        all_rows: Rows, those of the group included.
    """
    if wrong * all_rows <= all_wrong * rows:
        return 1.0
    right = all_rows - all_wrong
    term = exp(
        _log_choose(all_wrong, wrong)
        + _log_choose(right, rows - wrong)
        - _log_choose(all_rows, rows)
    )
    total = 0.0
    # Above the mean the terms fall; the rest is left out once it changes no digit.
    for count in range(wrong, min(rows, all_wrong) + 1):
        total += term
        if term < 1e-17 * total:
            break
        term *= (all_wrong - count) * (rows - count)
        term /= (count + 1) * (right - rows + count + 1)
    return min(1.0, total)


def _log_choose(total: int, chosen: int) -> float:
    return lgamma(total + 1) - lgamma(chosen + 1) - lgamma(total - chosen + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that hold for all tests together (Holm 1979), in the same order."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
