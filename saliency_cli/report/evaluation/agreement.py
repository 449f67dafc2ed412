"""The agreement of each two methods as a matrix."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from saliency_cli.report.evaluation.figures import Method
from saliency_cli.report.number_format import figure_text

MEASURES = ("spearman", "top5")
"""What is above the diagonal, and what is below."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two methods agree: a figure as text, and its step of the colour scale."""

    text: str
    heat: float


def agreement_matrix(
    agreement: Mapping[str, Any], methods: Sequence[Method]
) -> list[list[Agreement | None]]:
    """Return a line for each method; None on the diagonal, and where nothing was measured.

    Args:
        agreement: method -> other method -> measure -> figure.
        methods: the methods, in the order of lines and columns.
    """
    return [
        [
            _cell(agreement.get(line.name, {}).get(column.name), below=column.number < line.number)
            for column in methods
        ]
        for line in methods
    ]


def _cell(measured: Mapping[str, Any] | None, *, below: bool) -> Agreement | None:
    figure = (measured or {}).get(MEASURES[below])
    if figure is None or figure["mean"] is None:
        return None
    return Agreement(figure_text(figure["mean"], figure["se"]), max(figure["mean"], 0.0))
