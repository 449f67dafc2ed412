"""Coordinates of charts: axes with their ticks, and labels that do not overlap.

Coordinates are in the units of the SVG, with y downwards.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

LETTER, LINE = 8.0, 17.0
"""Width of a letter and height of a line of the labels, at the size that narrow windows use."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: its place, and its text."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from values to coordinates.

    Attributes:
        low: the smallest value.
        high: the largest value.
        first: the coordinate of the smallest.
        last: the coordinate of the largest.
        logarithmic: whether equal ratios take equal room.
    """

    low: float
    high: float
    first: float
    last: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the coordinate of a value."""
        low, high, value = (
            log10(each) if self.logarithmic else each for each in (self.low, self.high, value)
        )
        return round(self.first + (value - low) / (high - low) * (self.last - self.first), 2)

    def ticks(self) -> list[Tick]:
        """Return marks at round values: 1, 3, 10, … on a logarithmic axis, else in equal steps."""
        values = _decades(self.low, self.high) if self.logarithmic else _steps(self.low, self.high)
        return [Tick(self.at(value), f"{value:,g}".replace("-", "−")) for value in values]


def _decades(low: float, high: float) -> list[float]:
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 3)]
    return [value for value in values if low <= value <= high]


def _steps(low: float, high: float) -> list[float]:
    """Return the multiples of 1, 2 or 5 times a power of ten between two values: four to nine."""
    rough = (high - low) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough)
    return [
        round(step * n, 10) for n in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)
    ]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle: its edges."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether the two have a point inside both."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def label_box(x: float, y: float, text: str, *, leftwards: bool = False) -> Box:
    """Return the room of a label.

    Args:
        x: where it starts, or ends.
        y: the middle of its line.
        text: the label.
        leftwards: whether it ends at `x`.
    """
    width = LETTER * len(text)
    left = x - width if leftwards else x
    return Box(left, y - LINE / 2, left + width, y + LINE / 2)


@dataclass(frozen=True, slots=True)
class Label:
    """Where a label of a point is: the middle of its line, and its start or end."""

    x: float
    y: float
    leftwards: bool
    box: Box


def place_labels(
    points: Sequence[tuple[float, float]], texts: Sequence[str], obstacles: Sequence[Box], area: Box
) -> list[Label]:
    """Return a place near each point for its label, such that no two labels overlap.

    A label is beside its point if there is room, else a few lines above or below. It covers an
    obstacle only if nothing else is free.

    Args:
        points: x and y of each point.
        texts: the labels.
        obstacles: what should not be covered.
        area: where labels may be.
    """
    placed: list[Label] = []
    for point, text in zip(points, texts, strict=True):
        taken = [label.box for label in placed]
        below = [area.bottom + LINE * line for line in range(1, len(points) + 1)]
        candidates = [
            *_candidates(*point, text, area),
            *(_label(area.left, y, text, leftwards=False) for y in below),
        ]
        places = [each for each in candidates if not _hits(each, taken)]
        free = [each for each in places if not _hits(each, obstacles)]
        placed.append((free or places)[0])
    return placed


def _candidates(x: float, y: float, text: str, area: Box) -> Iterator[Label]:
    """Yield places inside the area, from near to far."""
    reach = ceil((area.bottom - area.top) / LINE)
    shifts = sorted(range(-reach, reach + 1), key=lambda lines: (abs(lines), lines))
    for lines in shifts:
        for leftwards in (False, True):
            start = x - 10 if leftwards else x + 10
            label = _label(start, y + lines * LINE, text, leftwards=leftwards)
            if _inside(label.box, area):
                yield label


def _label(x: float, y: float, text: str, *, leftwards: bool) -> Label:
    return Label(round(x, 2), round(y, 2), leftwards, label_box(x, y, text, leftwards=leftwards))


def _hits(label: Label, boxes: Sequence[Box]) -> bool:
    return any(label.box.meets(box) for box in boxes)


def _inside(box: Box, area: Box) -> bool:
    return (
        area.left <= box.left
        and box.right <= area.right
        and area.top <= box.top
        and box.bottom <= area.bottom
    )


def spread(wanted: Sequence[float], *, top: float, bottom: float) -> list[float]:
    """Return a height for each label, near the one wanted and at least a line from the others.

    Args:
        wanted: the height of what each label names.
        top: the smallest height.
        bottom: the largest one; the labels go beyond it only if there is no room.
    """
    order = sorted(range(len(wanted)), key=lambda place: (wanted[place], place))
    heights = [0.0] * len(wanted)
    limit = max(bottom, top + LINE * (len(wanted) - 1))
    for rank, place in enumerate(order):
        above = heights[order[rank - 1]] + LINE if rank else top
        heights[place] = max(wanted[place], above)
    for place in reversed(order):
        heights[place] = round(min(heights[place], limit), 2)
        limit = heights[place] - LINE
    return heights
