"""Full batches: items of similar length, as many as a token budget holds with their padding."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self, TypeVar

from torch import Tensor

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
        while queue and not (batch and self.equal_lengths and queue[0].length != longest):
            longest = max(longest, queue[0].length)
            if batch and (passes + queue[0].passes) * longest > self.tokens:
                break
            passes += queue[0].passes
            batch.append(queue.popleft())
        return batch

    def batches(self, lengths: Tensor, *, passes: int) -> Iterator[Tensor]:
        """Yield the numbers of the draws of each batch, those of the longest texts first.

        Args:
            lengths: The tokens of each draw's text, [D], on the CPU.
            passes: Passes of a draw, which stay in one batch.
        """
        order = lengths.argsort(descending=True, stable=True)
        for size in self.divide(lengths[order].tolist(), passes=passes):
            yield order[:size]
            order = order[size:]

    def divide(self, lengths: Sequence[int], *, passes: int) -> Iterator[int]:
        """Yield how many of some draws go into each batch: full ones, with little padding.

        Args:
            lengths: The tokens of each draw's text, longest first.
            passes: Passes of a draw, which stay in one batch.
        """
        total = passes * sum(lengths)
        # Batches of even size: a small last one would take longer, token for token.
        even = -(-total // max(1, -(-total // self.tokens)))
        first = 0
        while first < len(lengths):
            longest = passes * lengths[first]
            rest = len(lengths) - first
            if rest * longest <= self.tokens:
                fitting = rest
            else:
                fitting = max(1, min(-(-even // longest), self.tokens // longest))
            size = self._similar(lengths, first, most=min(rest, fitting), passes=passes)
            yield size
            first += size

    def _similar(self, lengths: Sequence[int], first: int, *, most: int, passes: int) -> int:
        """Return how many draws follow from `first`, up to `most`, until padding costs too much."""
        enough = -(-int(FULL_ENOUGH * self.tokens) // (passes * lengths[first]))
        shorter = bisect_right(
            lengths,
            -SIMILAR_LENGTH * lengths[first],
            lo=first,
            hi=first + most,
            key=lambda length: -length,
        )
        return min(most, max(enough, shorter - first, 1))


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
