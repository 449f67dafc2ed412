"""The texts of a window that are begun, and the draws that they still wait for."""

from bisect import insort_left, insort_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from saliency_cli.draws import Draws, Pending
from saliency_cli.texts import Begun


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The texts that are begun, and their draws still to be made, longest texts first."""

    queue: deque[Draws] = field(default_factory=deque)
    begun: dict[int, Begun] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens of the draws still to be made."""
        return sum(draws.rows * draws.length for draws in self.queue)

    def add(self, begun: Begun) -> None:
        """Queue the first draws of a text, of each of its targets and windows."""
        for pending in begun.pendings:
            self.begun[id(pending)] = begun
            first = pending.next_round()
            if first is not None:
                insort_right(self.queue, first, key=_longest_first)

    def go_on(self, pending: Pending) -> Begun | None:
        """Queue the next draws of what has made its last; return the text if it is done with."""
        if pending not in self:
            return None
        more = pending.next_round()
        if more is not None:
            self._put_first(more)
            return None
        begun = self.begun.pop(id(pending))
        return None if any(part in self for part in begun.pendings) else begun

    def rows(self, batch: Sequence[Draws]) -> list[int]:
        """Return the ordinals of the rows that draws are of."""
        begun = {id(draws.pending): self.begun[id(draws.pending)] for draws in batch}
        return [each.text.row.ordinal for each in begun.values()]

    def __contains__(self, pending: Pending) -> bool:
        """Whether a target of a text still waits for draws."""
        return id(pending) in self.begun

    def without_room(self, batch: Sequence[Draws], *, for_good: bool) -> Iterator[Begun]:
        """Put a batch back that memory ran out on; a text that is too much `for_good` is let go."""
        first = batch[0]
        if not for_good or len(batch) > 1 or first.rows > first.grain:
            for draws in reversed(batch):
                if draws.pending in self:
                    self._put_first(draws)
        elif first.pending in self:
            begun = self.begun[id(first.pending)]
            for pending in begun.pendings:
                self.begun.pop(id(pending), None)
            kept = [draws for draws in self.queue if draws.pending in self]
            self.queue.clear()
            self.queue.extend(kept)
            yield begun

    def _put_first(self, draws: Draws) -> None:
        """Put draws before all that are no longer."""
        insort_left(self.queue, draws, key=_longest_first)


def _longest_first(draws: Draws) -> int:
    return -draws.length
