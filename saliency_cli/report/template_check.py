"""Tries the user's templates on a small run before any slow work starts."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment

from saliency_cli.errors import UsageError
from saliency_cli.report.example_run import example_findings, example_lines, example_manifest
from saliency_cli.report.pages import Page, site_context
from saliency_cli.report.row_view import row_view
from saliency_cli.report.templating import environment, template_error
from saliency_cli.safe_text import visible
from saliency_cli.settings import PageChoice


def check_templates(overrides: Path | None) -> None:
    """Raise if a user's template cannot be compiled, or cannot render a small example run.

    Raises:
        UsageError: the folder does not exist, or one of its templates has an error.
    """
    if overrides is None:
        return
    if not overrides.is_dir():
        raise UsageError(f"--template-dir {visible(str(overrides))}: there is no such folder")
    try:
        env = environment(overrides)
        for name in env.list_templates(extensions=["j2"]):
            env.get_template(name)
        for signed in (False, True):
            _render_example(env, signed=signed)
    except Exception as error:  # a template can raise anything, and the example has no error itself
        raise template_error(error, overrides) from error


def _render_example(env: Environment, *, signed: bool) -> None:
    """Render each kind of page of an example run, and discard the text."""
    lines = example_lines()
    manifest = example_manifest(lines, signed=signed)
    findings = example_findings(lines, manifest["counts"])
    choice = PageChoice(title="Example" if signed else None, html_rows=len(lines) - signed)
    context = site_context(manifest, findings, choice)
    pages = (Page(1, 0, 1), Page(2, 2, 3))
    rows = [row_view(line) for line in lines]
    contexts: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("index.html.j2", {"rows": rows, "pages": (), "index_parts": 0}),
        ("index.html.j2", {"rows": (), "pages": pages, "index_parts": 1}),
        *(("page.html.j2", {"rows": rows, "page": page, "last": 2}) for page in pages),
        ("part.js.j2", {"number": 1, "part": "x"}),
    )
    texts = (env.get_template(name).generate({**context, **each}) for name, each in contexts)
    for _text in chain.from_iterable(texts):
        pass
