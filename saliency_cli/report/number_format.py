"""How pages write numbers and text."""

from bisect import bisect_right

from saliency_cli.safe_text import visible

DIGITS = (1e-5, 1e-4, 1e-3)
"""Errors from which on a score is written to 6, 5 and 4 digits; smaller ones give it 7."""

WRITTEN = tuple(f"%.{digits}f ± %.{digits}f (%.1f %%)" for digits in (7, 6, 5, 4))


def shown(text: str) -> str:
    """Make what a reader could not see visible; line ends and tabs stay, the page keeps them."""
    return visible(text, keep="\n\r\t")


def percent(share: float | None) -> str:
    """Write a share for reading: 98.6 %, or a dash where there is none."""
    return "–" if share is None else f"{100 * share:.1f} %"


def exact(score: float, error: float | None) -> str:
    """Write a score to the digits that its error leaves: 0.2134 ± 0.0021 (21.3 %)."""
    if not error:
        return f"{score:.4f} ({percent(score)})"
    return WRITTEN[bisect_right(DIGITS, error)] % (score, error, 100 * score)


def grouped(number: int) -> str:
    """Write a count for reading: 12,345."""
    return f"{number:,}"


def short(number: int) -> str:
    """Write a count where there is little room, rounded down: 950, 1.2k, 35k, 1.2M."""
    for unit, sign in ((10**6, "M"), (10**3, "k")):
        if number >= 10 * unit:
            return f"{number // unit}{sign}"
        if number >= unit:
            return f"{10 * number // unit / 10:.1f}{sign}"
    return str(number)
