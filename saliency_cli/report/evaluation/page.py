"""Writes the page of an evaluation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saliency_cli.report.evaluation.agreement import agreement_matrix
from saliency_cli.report.evaluation.charts import (
    LABELS_FROM,
    WIDTH,
    curve_charts,
    scatter,
)
from saliency_cli.report.evaluation.examples import Records, disputed_examples
from saliency_cli.report.evaluation.figures import figure_table, ranked_methods
from saliency_cli.report.evaluation.planted import planted_shortcuts
from saliency_cli.report.page_files import write_sealed
from saliency_cli.report.palette import legend
from saliency_cli.report.templating import environment, inline_sources

STYLES = ("report.css", "evaluation.css")
SCRIPTS = ("tokens.js",)
MARK = '<meta name="description" content="How far attribution methods can be trusted">'
"""What the template has near its start, and no other page."""


def write_evaluation_page(path: Path, result: Mapping[str, Any], records: Records) -> None:
    """Write the page of an evaluation.

    Args:
        path: the file; an earlier page is replaced.
        result: what `evaluation.json` holds.
        records: the records of each method, by ordinal.

    Raises:
        OutputError: the file cannot be written.
    """
    env = environment()
    methods = ranked_methods(result)
    context: dict[str, Any] = {
        **inline_sources(env, styles=STYLES, scripts=SCRIPTS),
        "manifest": {"versions": result["settings"]["versions"]},
        "mark": MARK,
        "result": result,
        "methods": methods,
        "table": figure_table(result, methods),
        "scatter": scatter(result, methods),
        "curves": [*curve_charts(result, methods, result["shares"])],
        "chart_width": WIDTH,
        "labels_from": LABELS_FROM,
        "shortcuts": planted_shortcuts(result, methods),
        "matrix": agreement_matrix(result["agreement"], methods),
        "examples": disputed_examples(methods, records),
        "legend": legend(signed=any(method.signed for method in methods)),
    }
    write_sealed(path, env.get_template("evaluation.html.j2").generate(context))
