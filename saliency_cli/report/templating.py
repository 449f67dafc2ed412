"""The Jinja environment: where the templates are, and which filters and globals they have."""

import base64
import hashlib
import traceback
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
from jinja2.sandbox import ImmutableSandboxedEnvironment

from saliency_cli.analysis.notable_rows import LIMITS
from saliency_cli.analysis.weakness import LIMITS_OF_WEAKNESS
from saliency_cli.errors import UsageError
from saliency_cli.percentages import accuracy_percent
from saliency_cli.plurals import counted
from saliency_cli.report.bounds import LABELS_KEPT
from saliency_cli.report.number_format import (
    count_text,
    grouped,
    name_text,
    percent,
    score_text,
    short,
    value_text,
    visible_text,
)
from saliency_cli.report.palette import heat, shade
from saliency_cli.report.row_view import excerpt_spans
from saliency_cli.report.search_links import label_terms, search, term
from saliency_cli.safe_text import excerpt, visible

PACKAGE = Path(__file__).parent.parent
SUBFOLDERS = ("html", "css", "js")
"""Subfolders of the templates' folder; a template's name does not include them."""
STYLES = ("report.css",)
SCRIPTS = (
    "tokens.js",
    "row_terms.js",
    "query.js",
    "rows.js",
    "results.js",
    "scale.js",
    "search.js",
    "keys.js",
)
"""The scripts in the order in which they are joined to one."""


def templates() -> Path:
    """Return the templates' folder: inside the package in a wheel, beside it in a checkout."""
    return next(
        path for path in (PACKAGE / "templates", PACKAGE.parent / "templates") if path.is_dir()
    )


@cache
def environment(overrides: Path | None = None) -> Environment:
    """Return the environment: all output is escaped, and an undefined variable is an error.

    It is a sandbox: a template reaches what it is given and no more of Python, and changes nothing.
    The built-in templates take no longer in it.

    Args:
        overrides: a folder whose templates replace the built-in ones of the same name.

    Raises:
        TemplateError: the style sheet or a script is missing.
    """
    built_in = [templates() / name for name in SUBFOLDERS]
    folders = built_in if overrides is None else [overrides, *built_in]
    env = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {"percent": percent, "grouped": grouped, "short": short, "heat": heat}
    env.filters |= {"score_text": score_text, "shade": shade, "visible": visible_text}
    env.filters |= {"name": name_text, "value": value_text, "mean_count": count_text}
    env.filters |= {"excerpt_spans": excerpt_spans}
    env.filters |= {"counted": counted, "accuracy": accuracy_percent}
    env.globals |= {"limits_of_page": {"labels": LABELS_KEPT}}
    env.globals |= {"limits_of_weakness": LIMITS_OF_WEAKNESS}
    env.globals |= {"limits": LIMITS, "search": search, "term": term, "label_terms": label_terms}
    env.globals |= inline_sources(env, styles=STYLES, scripts=SCRIPTS)
    return env


def inline_sources(
    env: Environment, *, styles: tuple[str, ...], scripts: tuple[str, ...]
) -> dict[str, str]:
    """Return `style` and `script`, which pages have inline, and the hashes that allow them.

    Args:
        env: the environment of the templates.
        styles: the style sheets' names, in the order in which they are joined.
        scripts: the scripts' names likewise.

    Raises:
        TemplateError: one is missing.
    """
    sources = {"style": styles, "script": scripts}
    joined = {kind: "".join(_source(env, n) for n in names) for kind, names in sources.items()}
    return {**joined, **{f"{kind}_hash": _csp_hash(text) for kind, text in joined.items()}}


@contextmanager
def template_errors(overrides: Path | None) -> Iterator[None]:
    """Convert errors of templates to a UsageError if there are user's templates.

    Without them an error is one of the tool itself, and is raised unchanged.

    Raises:
        UsageError: a template has an error.
    """
    try:
        yield
    except (TemplateError, UnicodeDecodeError) as error:
        if overrides is None:
            raise
        raise template_error(error, overrides) from error


def template_error(error: Exception, overrides: Path) -> UsageError:
    """Return any exception that a template raised as a UsageError.

    Args:
        error: the exception.
        overrides: the folder of the user's templates.
    """
    message = f"--template-dir {visible(str(overrides))}: {_message(error, overrides)}"
    return UsageError(
        message, "copy the template of this name that comes with saliency, and change the copy"
    )


def _message(error: Exception, overrides: Path) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f"{visible(error.name or '')}, line {error.lineno}: {excerpt(error.message or '')}"
    reason = excerpt(str(error) or type(error).__name__)
    if isinstance(error, TemplateNotFound):
        reason = f"there is no template {reason}"
    return f"{_place(error, overrides)}{reason}"


def _place(error: Exception, overrides: Path) -> str:
    """Return the innermost line of a template that an exception passed: `NAME, line 3: `, or ""."""
    folders = [overrides, *(templates() / name for name in SUBFOLDERS)]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        for folder in folders:
            if Path(frame.filename).is_relative_to(folder):
                name = Path(frame.filename).relative_to(folder)
                return f"{visible(str(name))}, line {frame.lineno}: "
    return ""


def _source(env: Environment, name: str) -> str:
    assert env.loader is not None  # noqa: S101 - `environment` sets it
    return env.loader.get_source(env, name)[0]


def _csp_hash(source: str) -> str:
    """Return the hash with which a Content-Security-Policy allows an inline element."""
    digest = hashlib.sha256(source.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
