"""The Jinja environment: where the templates lie, and how they write numbers and text."""

import base64
import hashlib
from functools import cache
from math import floor, log10
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from saliency_cli.escapes import visible
from saliency_cli.report.notable import LIMITS
from saliency_cli.report.palette import heat, shade
from saliency_cli.report.queries import phrase, search, term

PACKAGE = Path(__file__).parent.parent
STYLE = "report.css"
SCRIPT = "report.js"


def templates() -> Path:
    """Return the templates' folder: inside the package in a wheel, beside it in a checkout."""
    return next(
        path for path in (PACKAGE / "templates", PACKAGE.parent / "templates") if path.is_dir()
    )


@cache
def environment() -> Environment:
    """Return the environment, in which everything is escaped and nothing may be undefined."""
    env = Environment(
        loader=FileSystemLoader(templates()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {"percent": percent, "exact": exact, "grouped": grouped, "short": short}
    env.filters |= {"heat": heat, "shade": shade, "shown": shown}
    env.globals |= {"limits": LIMITS, "phrase": phrase, "search": search, "term": term}
    for kind, name in (("style", STYLE), ("script", SCRIPT)):
        source = (templates() / name).read_text(encoding="utf-8")
        env.globals[kind] = source
        env.globals[f"{kind}_hash"] = _csp_hash(source)
    return env


def _csp_hash(source: str) -> str:
    """Return the hash by which a Content-Security-Policy lets an inline element through."""
    digest = hashlib.sha256(source.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


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
    return f"{score:.{digits}f} ± {error:.{digits}f} ({percent(score)})"


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
