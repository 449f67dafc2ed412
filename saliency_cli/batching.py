"""Full batches: items of like length, as many as a token budget holds once they are padded."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from saliency_cli.records import BadRow, Row

WINDOW_ROWS = 1024
WINDOW_CHARACTERS = 1_000_000
"""Bounds of what is read ahead, sorted by length and held until it comes out in input order."""


class Packable(Protocol):
    """Anything that takes `rows` rows of `length` tokens in a batch."""

    @property
    def length(self) -> int:
        """Tokens in each row."""

    @property
    def rows(self) -> int:
        """Rows of the batch."""


Item = TypeVar("Item", bound=Packable)


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens in a batch, padding counted; `equal_lengths` allows for no padding at all."""

    tokens: int
    equal_lengths: bool = False

    def take(self, queue: deque[Item]) -> list[Item]:
        """Take the next batch from the front of `queue`: at least one item, whatever its size."""
        batch = [queue.popleft()]
        rows, longest = batch[0].rows, batch[0].length
        while queue:
            item = queue[0]
            longest = max(longest, item.length)
            rows += item.rows
            if rows * longest > self.tokens or (self.equal_lengths and item.length != longest):
                break
            batch.append(queue.popleft())
        return batch


def windows(rows: Iterable[Row | BadRow]) -> Iterator[list[Row | BadRow]]:
    """Cut the input into windows that are bounded in rows and in characters."""
    window: list[Row | BadRow] = []
    characters = 0
    for row in rows:
        window.append(row)
        characters += len(row.text) if isinstance(row, Row) else 0
        if len(window) == WINDOW_ROWS or characters > WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window
