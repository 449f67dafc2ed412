"""Coordinates of the charts over the runs: accuracy, suspects, gates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from saliency_cli.report.evaluation.chart_geometry import Axis, Box, Tick
from saliency_cli.site.entries import GATES, RunEntry

WIDTH, HEIGHT = 360, 178
AREA = Box(left=46, top=10, right=352, bottom=150)
RUNS_SHOWN = 60
"""The last runs that the charts show: with more, a point is too small to be pointed at."""
LEAST_RANGE = 2.0
"""Percentage points that the axis of accuracies spans at least: on a narrower one, changes by
chance would look large."""


@dataclass(frozen=True, slots=True)
class Point:
    """A run's accuracy: where it is, and where its 95 % interval ends."""

    run: RunEntry
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a column: what it counts, how many, its upper edge and its height."""

    kind: str
    count: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """A run's counts: the middle of its column, and the parts from below."""

    run: RunEntry
    x: float
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart over the runs.

    Attributes:
        slot: the width that each run has.
        ends: the names of the first and the last run, below the axis.
        y_ticks: marks on the vertical axis.
        points: what a chart of accuracies shows.
        columns: what a chart of counts shows.
    """

    slot: float
    ends: tuple[str, str]
    y_ticks: list[Tick]
    points: tuple[Point, ...] = ()
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Charts:
    """The charts of a site; None where there is nothing to show.

    Attributes:
        shown: the number of runs, the last ones, that they show.
    """

    shown: int
    accuracy: Chart | None
    suspects: Chart | None
    gates: Chart | None


def charts(runs: Sequence[RunEntry]) -> Charts | None:
    """Return the charts of the last runs; None if there is only one run."""
    shown = runs[-RUNS_SHOWN:]
    if len(shown) < 2:
        return None
    return Charts(
        len(shown),
        _accuracy_chart(shown),
        _column_chart(shown, _suspect_counts),
        _column_chart(shown, lambda run: {kind: run.gates[kind] for kind in GATES}),
    )


def _slots(runs: Sequence[RunEntry]) -> tuple[float, list[float]]:
    """Return the width of a slot, and the middle of each run's slot."""
    slot = (AREA.right - AREA.left) / len(runs)
    return round(slot, 2), [round(AREA.left + slot * (at + 0.5), 2) for at in range(len(runs))]


def _ends(runs: Sequence[RunEntry]) -> tuple[str, str]:
    return runs[0].name, runs[-1].name


def _accuracy_chart(runs: Sequence[RunEntry]) -> Chart | None:
    known = [run.interval for run in runs if run.interval is not None]
    if not known:
        return None
    low = 100 * min(interval[0] for interval in known)
    high = 100 * max(interval[1] for interval in known)
    if high - low < LEAST_RANGE:
        low, high = max(0.0, high - LEAST_RANGE), max(high, LEAST_RANGE)
    axis = Axis(low, high, AREA.bottom, AREA.top)
    slot, middles = _slots(runs)
    points = tuple(
        Point(run, x, *(axis.at(100 * share) for share in (run.accuracy, *run.interval)))
        for run, x in zip(runs, middles, strict=True)
        if run.interval is not None and run.accuracy is not None
    )
    return Chart(slot, _ends(runs), axis.ticks(), points=points)


def _suspect_counts(run: RunEntry) -> dict[str, int]:
    new = len(run.new_suspects)
    return {"new": new, "known": len(run.suspects) - new}


def _column_chart(
    runs: Sequence[RunEntry], counts_of: Callable[[RunEntry], Mapping[str, int]]
) -> Chart | None:
    counts = [counts_of(run) for run in runs]
    most = max(sum(each.values()) for each in counts)
    if not most:
        return None
    axis = Axis(0, most, AREA.bottom, AREA.top)
    slot, middles = _slots(runs)
    columns = tuple(
        Column(run, x, _blocks(each, axis))
        for run, x, each in zip(runs, middles, counts, strict=True)
    )
    ticks = [tick for tick in axis.ticks() if tick.text.isdigit()]
    return Chart(slot, _ends(runs), ticks, columns=columns)


def _blocks(counts: Mapping[str, int], axis: Axis) -> tuple[Block, ...]:
    blocks, below = [], 0
    for kind, count in counts.items():
        top, bottom = axis.at(below + count), axis.at(below)
        if count:
            blocks.append(Block(kind, count, top, round(bottom - top, 2)))
        below += count
    return tuple(blocks)
