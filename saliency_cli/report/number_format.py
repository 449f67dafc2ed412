"""How the pages write numbers and text; each function is a filter of the templates."""

from bisect import bisect_right

from saliency_cli.report.bounds import cut_name
from saliency_cli.safe_text import visible

ERROR_STEPS = (1e-5, 1e-4, 1e-3)
"""A score is written with 7 decimals; from each of these errors on, with one less."""

SCORE_FORMATS = tuple(f"%.{digits}f ± %.{digits}f (%.1f %%)" for digits in (7, 6, 5, 4))


def visible_text(text: str) -> str:
    """Return a text with invisible characters escaped, except line ends and tabs."""
    return visible(text, keep="\n\r\t")


def name_text(name: str) -> str:
    """Return a label, an id or a reason, cut if it is long, with invisible characters escaped."""
    return visible_text(cut_name(name))


def percent(share: float | None) -> str:
    """Return a share as 98.6 %, or a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"


def score_text(score: float, error: float | None) -> str:
    """Return a score with its error and percentage: 0.2134 ± 0.0021 (21.3 %).

    Args:
        score: the share of the text's saliency, -1 to 1.
        error: its standard error; it sets the number of decimals. None or 0 is not written.
    """
    if not error:
        return f"{score:.4f} ({percent(score)})"
    return SCORE_FORMATS[bisect_right(ERROR_STEPS, error)] % (score, error, 100 * score)


def grouped(number: int) -> str:
    """Return a count with a comma between thousands: 12,345."""
    return f"{number:,}"


def short(number: int) -> str:
    """Return a count in at most four characters, rounded down: 950, 1.2k, 35k, 1.2M."""
    for unit, sign in ((10**6, "M"), (10**3, "k")):
        if number >= 10 * unit:
            return f"{number // unit}{sign}"
        if number >= unit:
            return f"{10 * number // unit / 10:.1f}{sign}"
    return str(number)
