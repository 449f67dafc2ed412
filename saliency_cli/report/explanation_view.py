"""One row as HTML for a notebook: the report's templates and colours, and no global style."""

import re
from functools import cache
from typing import TypedDict

from markupsafe import Markup

from saliency_cli.report.row_view import row_view
from saliency_cli.report.templating import environment

SHADING = re.compile(
    r"\.(t|w|[sn][1-6]|special|cut|text|verdict|predicted|probability|mark|target|check|note|why|"
    r"gold)(?![\w-])"
)
"""How the selectors of report.css begin that are about a row."""
_RULE = re.compile(r"^(?P<selectors>[^\s@}][^{}]*)\{(?P<body>[^{}]*)\}$", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/\n?", re.DOTALL)
_VARIABLES = re.compile(r":root \{(?P<body>[^{}]*)\}")


class Style(TypedDict):
    """The parts of report.css that a row needs.

    Attributes:
        light: the declarations of its variables.
        dark: those of a dark page.
        rules: the rules of `SHADING`.
    """

    light: Markup
    dark: Markup
    rules: Markup


@cache
def row_style() -> Style:
    """Return the style of a row, read from the report's style sheet."""
    env = environment()
    sheet = _COMMENT.sub("", str(env.globals["style"]))
    light, dark, *_ = (match["body"] for match in _VARIABLES.finditer(sheet))
    rules = (match for match in _RULE.finditer(sheet) if _is_shading(match["selectors"]))
    # It comes from a file of the package, and holds no text of a row.
    return {
        "light": Markup(light),  # noqa: S704
        "dark": Markup(dark),  # noqa: S704
        "rules": Markup("\n".join(match[0] for match in rules)),  # noqa: S704
    }


def _is_shading(selectors: str) -> bool:
    return SHADING.match(selectors) is not None and "html" not in selectors


def explanation_html(line: str) -> str:
    """Return a row as HTML that can stand anywhere in a page: without scripts, and escaped.

    Args:
        line: the line of the row's record.
    """
    template = environment().get_template("explanation.html.j2")
    return template.render(row=row_view(line), css=row_style())
