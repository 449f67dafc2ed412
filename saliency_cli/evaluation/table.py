"""The closing table of an evaluation, for a terminal."""

from collections.abc import Sequence
from typing import Any

from saliency_cli.evaluation.metrics.interface import Metric
from saliency_cli.evaluation.results import Result


def table_lines(result: Result, metrics: Sequence[Metric]) -> list[str]:
    """Return the lines of the table: a method a line, a metric a column.

    Args:
        result: What `evaluation.json` holds.
        metrics: What was measured.
    """
    names = [metric.name for metric in metrics if metric.name != "agreement"]
    head = ["method", *names, "evaluations", "s/text"]
    rows = [
        [
            name,
            *(_cell(figures[metric]) for metric in names),
            f"{figures['evaluations']:.0f}",
            "–" if figures["seconds"] is None else f"{figures['seconds']:.3g}",
        ]
        for name, figures in result["methods"].items()
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return ["  ".join(_padded(row, widths)).rstrip() for row in (head, *rows)]


def _cell(figure: dict[str, Any]) -> str:
    if figure["mean"] is None:
        return "–"
    return f"{figure['mean']:.2f} ± {figure['se']:.2f}"


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the cells at the widths of their columns, the first on the left, others on the right.

    Args:
        cells: The cells of a line.
        widths: The width of each column.
    """
    first, *rest = zip(cells, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
