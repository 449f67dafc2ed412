"""A sample of a stream of unknown length, evenly spaced and the same each time."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class EvenSample(Generic[Item]):
    """Keeps evenly spaced items; all of them if there are no more than the limit.

    Attributes:
        limit: Number of items that `items` returns at most.
        held: The items that are kept, at most twice as many: all of a short stream, else every
            second, fourth, … one.
    """

    limit: int
    held: list[Item] = field(default_factory=list, init=False)
    _step: int = field(default=1, init=False)
    _seen: int = field(default=0, init=False)

    def add(self, item: Item) -> None:
        """Take an item, or pass over it."""
        if self._seen % self._step == 0:
            self.held.append(item)
        self._seen += 1
        if len(self.held) > 2 * self.limit:
            self.held, self._step = self.held[::2], 2 * self._step

    def items(self) -> list[Item]:
        """Return the sample, in the order of the stream."""
        count = len(self.held)
        if count <= self.limit:
            return [*self.held]
        return [self.held[place * count // self.limit] for place in range(self.limit)]
