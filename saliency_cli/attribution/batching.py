"""Full batches: items of like length, as many as a token budget holds once they are padded."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

from saliency_cli.records import BadRow, Row

WINDOW_CHARACTERS = 1_000_000
"""What is read ahead at most, sorted by length and held until it comes out in input order."""

ALIKE = 0.95
FULL_ENOUGH = 0.25
"""A batch as full as this ends before an item shorter than that part of its longest: a quarter of a
batch is 4 % slower, token for token, and padding costs what tokens do."""


class Packable(Protocol):
    """Work that takes `rows` rows of `length` tokens, and can be divided by the `grain`."""

    @property
    def length(self) -> int:
        """Tokens in each row."""

    @property
    def rows(self) -> int:
        """Rows of a batch, if all is done at once."""

    @property
    def grain(self) -> int:
        """Rows that must stay together."""

    def split(self, rows: int) -> tuple[Self, Self]:
        """Divide into the first `rows` rows and the rest."""


Item = TypeVar("Item", bound=Packable)


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens in a batch, padding counted; `equal_lengths` allows for no padding at all."""

    tokens: int
    equal_lengths: bool = False

    def halved(self) -> Self:
        """Return the budget with half the tokens, for when memory has run out."""
        return replace(self, tokens=max(1, self.tokens // 2))

    def take(self, queue: deque[Item]) -> list[Item]:
        """Take the next batch from the front of `queue`: at least one grain, whatever its size."""
        batch: list[Item] = []
        rows = longest = 0
        while queue and not (batch and self._ends(rows, longest, queue[0].length)):
            item = queue.popleft()
            longest = max(longest, item.length)
            room = max(self.tokens // longest - rows, 0 if batch else item.grain)
            fitting = min(room // item.grain * item.grain, item.rows)
            if fitting < item.rows:
                head, item = item.split(fitting) if fitting else (None, item)
                queue.appendleft(item)
                return [*batch, head] if head else batch
            batch.append(item)
            rows += item.rows
        return batch

    def _ends(self, rows: int, longest: int, following: int) -> bool:
        """Say whether a batch ends before an item of a length, because of its length alone."""
        if self.equal_lengths:
            return following != longest
        return rows * longest >= FULL_ENOUGH * self.tokens and following < ALIKE * longest


def windows(rows: Iterable[Row | BadRow], *, most: int) -> Iterator[list[Row | BadRow]]:
    """Cut the input into windows of at most so many rows, and bounded in characters."""
    window: list[Row | BadRow] = []
    characters = 0
    for row in rows:
        window.append(row)
        characters += len(row.text) + len(row.pair or "") if isinstance(row, Row) else 0
        if len(window) == most or characters > WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
    if window:
        yield window
