"""Full batches: items of similar length, as many as a token budget holds with their padding."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

from saliency_cli.records import BadRow, Row

READ_AHEAD_CHARACTERS = 1_000_000
"""Characters of text after which a read-ahead ends, whatever its number of rows."""

SIMILAR_LENGTH = 0.95
FULL_ENOUGH = 0.25
"""A batch that is a quarter full ends before an item that is shorter than 95 % of its longest: a
quarter of a batch is 4 % slower, token for token, and padding costs what tokens do."""


class Packable(Protocol):
    """What batches are filled with: one or several passes that stay in one batch."""

    @property
    def length(self) -> int:
        """Tokens of the longest pass."""

    @property
    def passes(self) -> int:
        """Number of passes, each of which is one line of a batch [B, L]."""


Item = TypeVar("Item", bound=Packable)


@dataclass(frozen=True, slots=True)
class Budget:
    """How much goes into a batch.

    Attributes:
        tokens: Tokens in a batch, padding counted.
        equal_lengths: Whether all texts of a batch must have one length, for a model whose results
            depend on padding.
    """

    tokens: int
    equal_lengths: bool = False

    def halved(self) -> Self:
        """Return the budget with half the tokens, for when memory ran out."""
        return replace(self, tokens=max(1, self.tokens // 2))

    def take(self, queue: deque[Item]) -> list[Item]:
        """Remove the next batch from the front of `queue`, and return it.

        It holds at least one item, whatever the budget.
        """
        batch: list[Item] = []
        passes = longest = 0
        while queue and not (batch and self._ends(passes, longest, queue[0].length)):
            longest = max(longest, queue[0].length)
            if batch and (passes + queue[0].passes) * longest > self.tokens:
                break
            passes += queue[0].passes
            batch.append(queue.popleft())
        return batch

    def _ends(self, passes: int, longest: int, following: int) -> bool:
        """Whether a batch ends before an item because of the item's length alone."""
        if self.equal_lengths:
            return following != longest
        return (
            passes * longest >= FULL_ENOUGH * self.tokens and following < SIMILAR_LENGTH * longest
        )


def read_ahead(rows: Iterable[Row | BadRow], *, most: int) -> Iterator[list[Row | BadRow]]:
    """Yield the input in groups that are sorted by length together and finished together.

    Args:
        rows: The input.
        most: Largest number of rows in a group; its characters are bounded as well.
    """
    group: list[Row | BadRow] = []
    characters = 0
    for row in rows:
        group.append(row)
        characters += len(row.text) + len(row.pair or "") if isinstance(row, Row) else 0
        if len(group) == most or characters > READ_AHEAD_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group
