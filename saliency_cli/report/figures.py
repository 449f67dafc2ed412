"""How pages write numbers and text."""

from math import floor, log10

from saliency_cli.escapes import visible


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
    digits = min(max(1 - floor(log10(error)), 4), 7)
    return f"{score:.{digits}f} ± {error:.{digits}f} ({100 * score:.1f} %)"
