"""How the pages write numbers and text; each function is a filter of the templates."""

from bisect import bisect_right

from saliency_cli.percentages import percent_number
from saliency_cli.report.bounds import cut_name
from saliency_cli.safe_text import visible

ERROR_STEPS = (1e-5, 1e-4, 1e-3)
"""A score is written with 7 decimals; from each of these errors on, with one less."""

SCORE_FORMATS = tuple(f"%.{digits}f ± %.{digits}f" for digits in (7, 6, 5, 4))

SMALLEST_ERROR = 0.0005
"""A number with three decimals would show a smaller error as none."""

MINUS = "−"


def visible_text(text: str) -> str:
    """Return a text with invisible characters escaped, except line ends and tabs."""
    return visible(text, keep="\n\r\t")


def name_text(name: str) -> str:
    """Return a label, an id or a reason, cut if it is long, with invisible characters escaped."""
    return visible_text(cut_name(name))


def percent(share: float | None) -> str:
    """Return a share with two digits, 98 %, or a dash for None."""
    return "–" if share is None else f"{percent_number(share)} %".replace("-", MINUS)


def value_text(value: float) -> str:
    """Return a number with three significant digits and a true minus sign."""
    return f"{value:.3g}".replace("-", MINUS)


def score_text(score: float, error: float | None, *, remark: str = "") -> str:
    """Return a score as a percentage, 21 % ± 0.2 %, and below it with more digits.

    Args:
        score: the share of the text's saliency, -1 to 1.
        error: its standard error; it sets the number of decimals. None or 0 is not written.
        remark: what the first line ends with.
    """
    if not error:
        return f"{percent(score)}{remark}\n{score:.4f}".replace("-", MINUS)
    digits = SCORE_FORMATS[bisect_right(ERROR_STEPS, error)] % (score, error)
    first = f"{percent_number(score)} % ± {percent_number(error)} %"
    return f"{first}{remark}\n{digits}".replace("-", MINUS)


def figure_text(mean: float, error: float) -> str:
    """Return a mean with its standard error: 0.62 ± 0.03, with three digits if that is small.

    Args:
        mean: the mean.
        error: its standard error.
    """
    digits = 2 if error >= 0.01 or not error else 3
    spread = f"{error:.{digits}f}" if error >= SMALLEST_ERROR or not error else "<0.001"
    return f"{mean:z.{digits}f} ± {spread}".replace("-", MINUS)


def count_text(mean: float) -> str:
    """Return a mean of counts: with three digits below a thousand, else whole and grouped."""
    return f"{mean:.3g}" if mean < 999.5 else f"{mean:,.0f}"


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
