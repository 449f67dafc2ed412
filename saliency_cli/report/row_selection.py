"""Which rows the pages show: those that the findings name, then an even sample of the others."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def select(lines: Iterable[T], *, rows: int, shown: int, named: Collection[int]) -> Iterator[T]:
    """Pick `shown` of `rows` lines in their order: those `named`, by place, before all others.

    Where not all named ones fit, the first of them are shown. The same lines each time.
    """
    first = frozenset(islice((place for place in named if 0 <= place < rows), shown))
    others, room = rows - len(first), shown - len(first)
    passed = 0
    for place, line in enumerate(lines):
        if place in first:
            yield line
            continue
        if (passed + 1) * room // others > passed * room // others:
            yield line
        passed += 1


def ranks(*, rows: int, shown: int, named: Collection[int]) -> dict[int, int]:
    """Return where among the lines that `select` picks those `named` come, from 0."""
    picked = select(range(rows), rows=rows, shown=shown, named=named)
    wanted = frozenset(named)
    return {place: rank for rank, place in enumerate(picked) if place in wanted}
