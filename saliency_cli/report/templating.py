"""The Jinja environment: where the templates lie, and how they write numbers and text."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)

from saliency_cli.analysis.notable_rows import LIMITS
from saliency_cli.errors import UsageError
from saliency_cli.report.number_format import exact, grouped, percent, short, shown
from saliency_cli.report.palette import heat, shade
from saliency_cli.report.search_links import phrase, search, term
from saliency_cli.safe_text import excerpt, visible

PACKAGE = Path(__file__).parent.parent
STYLES = ("report.css",)
KINDS = ("html", "css", "js")
"""Subfolders of the templates' folder; a template is named without its subfolder."""
SCRIPTS = ("tokens.js", "query.js", "rows.js", "results.js", "search.js", "keys.js")


def templates() -> Path:
    """Return the templates' folder: inside the package in a wheel, beside it in a checkout."""
    return next(
        path for path in (PACKAGE / "templates", PACKAGE.parent / "templates") if path.is_dir()
    )


@cache
def environment(overrides: Path | None = None) -> Environment:
    """Return the environment, in which everything is escaped and nothing may be undefined.

    A template in the folder `overrides` takes the place of the one with the same name.
    """
    own = [templates() / kind for kind in KINDS]
    folders = own if overrides is None else [overrides, *own]
    env = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {"percent": percent, "exact": exact, "grouped": grouped, "short": short}
    env.filters |= {"heat": heat, "shade": shade, "shown": shown}
    env.globals |= {"limits": LIMITS, "phrase": phrase, "search": search, "term": term}
    for kind, names in (("style", STYLES), ("script", SCRIPTS)):
        source = "".join(_source(env, name) for name in names)
        env.globals[kind] = source
        env.globals[f"{kind}_hash"] = _csp_hash(source)
    return env


def check_templates(overrides: Path | None) -> None:
    """See that all templates can be compiled, before anything that takes time.

    Raises:
        UsageError: there is no such folder, or one of its templates is not well formed.
    """
    if overrides is None:
        return
    if not overrides.is_dir():
        raise UsageError(f"--template-dir {visible(str(overrides))}: there is no such folder")
    with template_errors(overrides):
        env = environment(overrides)
        for name in env.list_templates(extensions=["j2"]):
            env.get_template(name)


@contextmanager
def template_errors(overrides: Path | None) -> Iterator[None]:
    """Turn what is wrong with somebody's template into a UsageError; ours have nothing wrong."""
    try:
        yield
    except (TemplateError, UnicodeDecodeError) as error:
        if overrides is None:
            raise
        raise UsageError(
            f"--template-dir {visible(str(overrides))}: {_told(error)}",
            "start from the template of that name that comes with saliency",
        ) from error


def _told(error: TemplateError | UnicodeDecodeError) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"{visible(error.name or '')}, line {error.lineno}: {excerpt(error.message or '')}"
    if isinstance(error, TemplateNotFound):
        return f"there is no template {excerpt(str(error))}"
    return excerpt(str(error))


def _source(env: Environment, name: str) -> str:
    assert env.loader is not None  # noqa: S101 - given above
    return env.loader.get_source(env, name)[0]


def _csp_hash(source: str) -> str:
    """Return the hash by which a Content-Security-Policy lets an inline element through."""
    digest = hashlib.sha256(source.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
