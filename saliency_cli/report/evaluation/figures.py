"""The figures of an evaluation: a method a row, a metric a column."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from saliency_cli.report.evaluation.chart_geometry import Axis
from saliency_cli.report.number_format import figure_text
from saliency_cli.safe_text import visible

Figure: TypeAlias = Mapping[str, Any]
"""`mean` and `se`, with a `reason` where they are None."""

RANKED_BY = "comprehensiveness"
"""The metric that the methods are ordered by."""

LONGEST_NAME = 20
"""Characters of a method's name in a chart; the number before it keeps it unique."""

COLOURS = 8
"""Pairs of a colour and a dash in the style sheet."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method as all parts of the page name it.

    Attributes:
        number: its place in the table, from 1.
        name: its name, which may have options in it.
        page: the path of its run's page.
        kind: the method's name without its options.
        signed: whether its scores have signs.
        evaluations: forward passes a text.
    """

    number: int
    name: str
    page: str
    kind: str
    signed: bool
    evaluations: float

    @property
    def label(self) -> str:
        """The number and as much of the name as a chart has room for."""
        return chart_label(f"{self.number} {visible(self.name)}")

    @property
    def parts(self) -> list[str]:
        """The name, divided where a line may end."""
        return re.split("(?<=[:,])", self.name)

    @property
    def css(self) -> str:
        """The class that gives a colour and a dash."""
        return f"m{(self.number - 1) % COLOURS + 1}"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from zero to a mean, and its error on both sides, in per cent of the column's width."""

    zero: float
    start: float
    width: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure in the table; `note` is the letter of the reason why there is none."""

    text: str
    bar: Bar | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A metric, with one cell a method."""

    name: str
    title: str
    source: str
    pitfall: str
    better: str | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """The columns, and the reasons for dashes by their letters."""

    columns: tuple[Column, ...]
    reasons: Mapping[str, str]


def chart_label(text: str) -> str:
    """Return a text, cut to what a chart has room for."""
    return text if len(text) <= LONGEST_NAME + 2 else f"{text[: LONGEST_NAME + 1]}…"


def ranked_methods(result: Mapping[str, Any]) -> list[Method]:
    """Return the methods, the most faithful one first, those without a figure last."""
    settings = result["settings"]
    return [
        Method(
            number,
            name,
            page=f"methods/{settings['folders'][name]}/index.html",
            kind=settings["methods"][name]["name"],
            signed=settings["methods"][name]["is_signed"],
            evaluations=result["methods"][name]["evaluations"],
        )
        for number, name in enumerate(sorted(result["methods"], key=_rank(result)), start=1)
    ]


def _rank(result: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a key function
    def key(name: str) -> tuple[bool, float, str]:
        mean = result["methods"][name].get(RANKED_BY, {}).get("mean")
        return mean is None, -(mean or 0), name

    return key


def figure_table(result: Mapping[str, Any], methods: Sequence[Method]) -> Table:
    """Return the table of all metrics that give each method a figure.

    Args:
        result: what `evaluation.json` holds.
        methods: the methods, in the order of the rows.
    """
    own = [result["methods"][method.name] for method in methods]
    names = [name for name in result["metrics"] if all(name in figures for figures in own)]
    letters = _letters(figures[name].get("reason") for name in names for figures in own)
    columns = tuple(
        Column(
            name,
            **{key: result["metrics"][name][key] for key in ("title", "source", "pitfall")},
            better=result["metrics"][name]["better"],
            cells=_cells([figures[name] for figures in own], letters),
        )
        for name in names
    )
    return Table(columns, {letter: reason for reason, letter in letters.items()})


def _letters(reasons: Iterator[str | None]) -> dict[str, str]:
    """Return a letter for each reason, in the order in which they come."""
    distinct = dict.fromkeys(filter(None, reasons))
    return {reason: chr(ord("a") + place) for place, reason in enumerate(distinct)}


def _cells(figures: Sequence[Figure], letters: Mapping[str, str]) -> tuple[Cell, ...]:
    """Return the cells of a column; its scale goes from 0 to 1, or as far as the errors go."""
    known = [each for each in figures if each["mean"] is not None]
    low = min([0.0, *(each["mean"] - each["se"] for each in known)])
    high = max([1.0, *(each["mean"] + each["se"] for each in known)])
    scale = Axis(low, high, first=0, last=100)
    return tuple(
        Cell("–", note=letters.get(each.get("reason", ""), ""))
        if each["mean"] is None
        else Cell(figure_text(each["mean"], each["se"]), _bar(each["mean"], each["se"], scale))
        for each in figures
    )


def _bar(mean: float, error: float, scale: Axis) -> Bar:
    start, end = scale.at(min(mean, 0)), scale.at(max(mean, 0))
    low, high = scale.at(mean - error), scale.at(mean + error)
    return Bar(scale.at(0), start, round(end - start, 2), low, high)
