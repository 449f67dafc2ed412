"""Which rows the pages show: those that findings link to, and an even sample of the others."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def select_rows(
    lines: Iterable[T], *, total: int, limit: int, linked: Collection[int]
) -> Iterator[T]:
    """Yield `limit` of the lines, in their order; the same ones every time.

    Args:
        lines: one item per row of the run.
        total: the number of lines.
        limit: the number of lines to yield, at most `total`.
        linked: positions of lines that are selected before all others; if they are more than
            `limit`, the first of them are selected.
    """
    first = frozenset(islice((index for index in linked if 0 <= index < total), limit))
    others, sample_size = total - len(first), limit - len(first)
    passed = 0
    for index, line in enumerate(lines):
        if index in first:
            yield line
            continue
        # Bresenham's rule: the count of sampled lines rises by one at evenly spaced places.
        if (passed + 1) * sample_size // others > passed * sample_size // others:
            yield line
        passed += 1


def page_positions(*, total: int, limit: int, linked: Collection[int]) -> dict[int, int]:
    """Return row -> its position, from 0, among the rows that `select_rows` yields.

    Args:
        total: the number of rows of the run.
        limit: the number of rows to show.
        linked: the rows to look up; those that are not shown are left out.
    """
    selected = select_rows(range(total), total=total, limit=limit, linked=linked)
    wanted = frozenset(linked)
    return {row: position for position, row in enumerate(selected) if row in wanted}
