"""The charts of an evaluation: faithfulness against cost, and the curves of erasure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from saliency_cli.report.evaluation.chart_geometry import (
    Axis,
    Box,
    Label,
    Tick,
    place_labels,
    spread,
)
from saliency_cli.report.evaluation.figures import RANKED_BY, Figure, Method, chart_label
from saliency_cli.report.number_format import count_text, figure_text

SCATTER = Box(left=46, top=14, right=506, bottom=300)
CURVES = Box(left=46, top=14, right=310, bottom=240)
LABELS_FROM = 330
WIDTH = 520
LEAST_CURVE_LABELS = 13
"""Lines of labels that fit beside `CURVES`; with more of them a chart is higher."""

REFERENCES = {"best": "best order found", "random": "random order"}
REMOVALS = {"mask": "masked", "delete": "deleted"}
"""Ways to take tokens out, with the words for the title of a chart."""
TARGET = "probability"


@dataclass(frozen=True, slots=True)
class Point:
    """A method in the scatter; `low` and `high` are the ends of its error."""

    method: Method
    x: float
    y: float
    low: float
    high: float
    label: Label
    note: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """Faithfulness against cost."""

    area: Box
    points: tuple[Point, ...]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    zero: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A mean on a curve, and the ends of its error."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: its label and class, its dots, the height of its label, and its values as text."""

    label: str
    css: str
    dots: tuple[Dot, ...]
    label_y: float
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """The curves of a metric with one way to take tokens out."""

    metric: str
    removal: str
    area: Box
    lines: tuple[Line, ...]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    zero: float


def scatter(result: Mapping[str, Any], methods: Sequence[Method]) -> Scatter | None:
    """Return faithfulness against cost; None where no method has a figure.

    Args:
        result: what `evaluation.json` holds.
        methods: the methods.
    """
    figures = [(each, result["methods"][each.name].get(RANKED_BY)) for each in methods]
    known = [(method, figure) for method, figure in figures if figure and _is_known(figure)]
    if not known:
        return None
    costs = [_cost(method) for method, _ in known]
    x_axis = Axis(min(costs) / 1.5, max(costs) * 1.5, SCATTER.left, SCATTER.right, logarithmic=True)
    y_axis = _y_axis([figure for _, figure in known], SCATTER, high=1.0)
    return Scatter(
        SCATTER, _points(known, x_axis, y_axis), x_axis.ticks(), y_axis.ticks(), y_axis.at(0)
    )


def _is_known(figure: Figure) -> bool:
    return figure["mean"] is not None


def _cost(method: Method) -> float:
    """Return the evaluations, at least one: a logarithmic axis has no zero."""
    return max(1.0, method.evaluations)


def _y_axis(figures: Sequence[Figure], area: Box, *, high: float) -> Axis:
    """Return an axis from 0, or the lowest error, to `high`, or the highest one."""
    lowest = min([0.0, *(each["mean"] - each["se"] for each in figures)])
    highest = max([high, *(each["mean"] + each["se"] for each in figures)])
    return Axis(lowest, highest if highest > lowest else lowest + 1, area.bottom, area.top)


def _points(
    known: Sequence[tuple[Method, Figure]], x_axis: Axis, y_axis: Axis
) -> tuple[Point, ...]:
    dots = [_dot(x_axis.at(_cost(method)), figure, y_axis) for method, figure in known]
    obstacles = [Box(dot.x - 7, dot.y - 7, dot.x + 7, dot.y + 7) for dot in dots]
    obstacles += [Box(dot.x - 4, dot.high, dot.x + 4, dot.low) for dot in dots]
    labels = place_labels(
        [(dot.x, dot.y) for dot in dots], [each.label for each, _ in known], obstacles, SCATTER
    )
    return tuple(
        Point(method, dot.x, dot.y, dot.low, dot.high, label, _point_note(method, figure))
        for (method, figure), dot, label in zip(known, dots, labels, strict=True)
    )


def _point_note(method: Method, figure: Figure) -> str:
    passes = count_text(method.evaluations)
    return f"{method.label}: {figure_text(figure['mean'], figure['se'])}, {passes} passes a text"


def _dot(x: float, figure: Figure, y_axis: Axis) -> Dot:
    mean, error = figure["mean"], figure["se"]
    return Dot(round(x, 2), y_axis.at(mean), y_axis.at(mean - error), y_axis.at(mean + error))


def curve_charts(
    result: Mapping[str, Any], methods: Sequence[Method], shares: Sequence[int]
) -> Iterator[Chart]:
    """Yield a chart for each metric with curves and each way to take tokens out.

    Args:
        result: what `evaluation.json` holds.
        methods: the methods, in the order of the legend.
        shares: the shares of a text's tokens, in per cent.
    """
    for metric, curves in sorted(result["curves"].items()):
        for removal, word in REMOVALS.items():
            series = [*_series(curves, methods, removal)]
            if series:
                yield _chart(metric, word, series, shares)


Series = tuple[str, str, Sequence[Figure]]
"""Label, class and figures of a curve."""


def _series(curves: Mapping[str, Any], methods: Sequence[Method], removal: str) -> Iterator[Series]:
    for method in methods:
        if method.name in curves["methods"]:
            yield method.label, method.css, curves["methods"][method.name][removal][TARGET]
    for name, label in REFERENCES.items():
        if name in curves["references"]:
            yield chart_label(label), name, curves["references"][name][removal][TARGET]


def _chart(metric: str, removal: str, series: Sequence[Series], shares: Sequence[int]) -> Chart:
    more = max(0, len(series) - LEAST_CURVE_LABELS)
    area = Box(CURVES.left, CURVES.top, CURVES.right, CURVES.bottom + 17 * more)
    x_axis = Axis(shares[0] / 1.3, shares[-1] * 1.3, area.left, area.right, logarithmic=True)
    y_axis = _y_axis([each for _, _, figures in series for each in figures], area, high=0.0)
    lines = [
        [
            _dot(x_axis.at(share) + 2.2 * (place - len(series) / 2), figure, y_axis)
            for share, figure in zip(shares, figures, strict=True)
        ]
        for place, (_, _, figures) in enumerate(series)
    ]
    heights = spread([dots[-1].y for dots in lines], top=area.top, bottom=area.bottom)
    return Chart(
        metric,
        removal,
        area,
        tuple(
            Line(label, css, tuple(dots), height, tuple(_texts(figures)))
            for (label, css, figures), dots, height in zip(series, lines, heights, strict=True)
        ),
        [Tick(x_axis.at(share), f"{share}") for share in shares],
        y_axis.ticks(),
        y_axis.at(0),
    )


def _texts(figures: Sequence[Figure]) -> Iterator[str]:
    return (figure_text(each["mean"], each["se"]) for each in figures)
