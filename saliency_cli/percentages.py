"""Shares as percentages with two digits: 40, 8.8, 0.3; what is nearly all or nothing says so."""

NEARLY_ALL, NEARLY_NOTHING = 0.9995, 0.0005
"""Between them and all or nothing, one decimal would show a share as 100 or 0, which it is not."""

ONE_DIGIT, THREE_DIGITS = 0.0995, 0.995
"""Shares below the one have one digit before the point; from the other on, rounding gives 100."""


def percent_number(share: float) -> str:
    """Return 100 times a share, without the sign for per cent: `40`, `8.8`, `99.6`, `<0.1`.

    Above 99.5 it has a third digit, for 100 would say that nothing else is possible.

    Args:
        share: The share; a negative one has its sign: `-12`.
    """
    size = abs(share)
    if 0 < size < NEARLY_NOTHING:
        return ">-0.1" if share < 0 else "<0.1"
    if NEARLY_ALL <= size < 1:
        return "<-99.9" if share < 0 else ">99.9"
    decimals = 1 if 0 < size < ONE_DIGIT or NEARLY_ALL > size >= THREE_DIGITS else 0
    return f"{100 * share:z.{decimals}f}"
