"""What chance alone explains: intervals of shares, and tests of one group against the others."""

from collections.abc import Sequence
from math import erfc, exp, lgamma, log, sqrt

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


def fisher_exact(hits: int, draws: int, *, other_hits: int, other_draws: int) -> float:
    """Return the probability of as many hits or more if both groups had one probability of a hit.

    This is Fisher's exact test, one-sided (Fisher 1935): all hits are divided at random.

    Args:
        hits: The hits of the first group.
        draws: Its size.
        other_hits: The hits of the second group.
        other_draws: Its size.
    """
    all_hits, misses = hits + other_hits, draws - hits + other_draws - other_hits
    term = exp(
        _log_choose(all_hits, hits)
        + _log_choose(misses, draws - hits)
        - _log_choose(all_hits + misses, draws)
    )
    total = 0.0
    # Above the mean the terms fall; the rest is left out once it changes no digit.
    for count in range(hits, min(draws, all_hits) + 1):
        total += term
        if term < 1e-17 * total:
            break
        term *= (all_hits - count) * (draws - count)
        term /= (count + 1) * (misses - draws + count + 1)
    return min(1.0, total)


def excess_p_value(wrong: int, rows: int, *, all_wrong: int, all_rows: int) -> float:
    """Return `fisher_exact` of a group of rows against the others.

    1 for a group with no more wrong rows than its part of all rows.

    Args:
        wrong: Wrong rows of the group.
        rows: Rows of the group.
        all_wrong: Wrong rows, those of the group included.
        all_rows: Rows, those of the group included.
    """
    if wrong * all_rows <= all_wrong * rows:
        return 1.0
    return fisher_exact(wrong, rows, other_hits=all_wrong - wrong, other_draws=all_rows - rows)


def mcnemar_exact(broken: int, fixed: int) -> float:
    """Return how often chance alone divides changed rows as unevenly (McNemar 1947, exact).

    Each row whose correctness changed is broken or fixed with probability one half; two-sided.

    Args:
        broken: Rows that were right and are wrong now.
        fixed: Rows that were wrong and are right now.
    """
    changed, fewest = broken + fixed, min(broken, fixed)
    term = exp(_log_choose(changed, fewest) - changed * log(2))
    total = 0.0
    for count in range(fewest, -1, -1):  # the terms fall
        total += term
        if term < 1e-17 * total:
            break
        term *= count / (changed - count + 1)
    return min(1.0, 2 * total)


def normal_p_value(mean: float, error: float) -> float:
    """Return how often chance alone gives a mean this far from 0, two-sided.

    Args:
        mean: The mean.
        error: Its standard error; with 0, a mean of 0 is certain to be by chance, and no other.
    """
    if not error:
        return 0.0 if mean else 1.0
    return erfc(abs(mean) / error / sqrt(2))


def _log_choose(total: int, chosen: int) -> float:
    return lgamma(total + 1) - lgamma(chosen + 1) - lgamma(total - chosen + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that hold for all tests together (Holm 1979), in the same order."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
