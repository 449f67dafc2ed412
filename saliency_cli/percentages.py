"""Shares as percentages with two digits: 40, 8.8, 0.3; what is nearly all or nothing says so.

Accuracies have one decimal.
"""

NEARLY_ALL, NEARLY_NOTHING = 0.9995, 0.0005
"""Between them and all or nothing, one decimal would show a share as 100 or 0, which it is not."""

ONE_DIGIT, THREE_DIGITS = 0.0995, 0.99
"""Shares below the one have one digit before the point; from the other on, 100 is near."""


def percent_number(share: float) -> str:
    """Return 100 times a share, without the sign for per cent: `40`, `8.8`, `99.6`, `<0.1`.

    From 99 on it has a third digit, for 100 would say that nothing else is possible.

    Args:
        share: The share; a negative one has its sign: `-12`.
    """
    size = abs(share)
    if ONE_DIGIT <= size < THREE_DIGITS:
        return f"{100 * share:.0f}"
    if NEARLY_NOTHING <= size < NEARLY_ALL:
        return f"{100 * share:.1f}"
    if 0 < size < NEARLY_NOTHING:
        return ">-0.1" if share < 0 else "<0.1"
    if NEARLY_ALL <= size < 1:
        return "<-99.9" if share < 0 else ">99.9"
    return f"{100 * share:z.0f}"


def share_text(share: float | None) -> str:
    """Return a share as the page writes it: `8.8 %`, or a dash for None."""
    return "–" if share is None else f"{percent_number(share)} %"


def accuracy_percent(share: float | None) -> str:
    """Return an accuracy with one decimal: `71.7 %`, or a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"
