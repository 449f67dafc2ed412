"""Figures with the seven digits that records have."""


def rounded(value: float) -> float:
    """Return a number with seven significant digits."""
    return float(f"{value:.7g}")


def mean(total: float, count: int) -> float | None:
    """Return the mean with seven significant digits, or None if nothing was counted."""
    return rounded(total / count) if count else None
