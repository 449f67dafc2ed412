"""A sample of a stream of unknown length, evenly spaced and the same each time."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class EvenSample(Generic[Item]):
    """Keeps evenly spaced items; all of them if there are no more than the limit.

    Attributes:
        limit: Number of items that are returned at most; twice as many are held.
    """

    limit: int
    _kept: list[Item] = field(default_factory=list)
    _step: int = 1
    _seen: int = 0

    def add(self, item: Item) -> None:
        """Take an item, or pass over it."""
        if self._seen % self._step == 0:
            self._kept.append(item)
        self._seen += 1
        if len(self._kept) > 2 * self.limit:
            self._kept, self._step = self._kept[::2], 2 * self._step

    def items(self) -> list[Item]:
        """Return the sample, in the order of the stream."""
        count = len(self._kept)
        if count <= self.limit:
            return [*self._kept]
        return [self._kept[place * count // self.limit] for place in range(self.limit)]
