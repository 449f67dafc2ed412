"""What is counted of words: in bounded memory, by predicted label and word."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from heapq import nlargest
from typing import Protocol, TypeVar

from saliency_cli.analysis.finding import EXAMPLE_ROWS
from saliency_cli.analysis.word_shares import RowStats


class Counted(Protocol):
    """Something that is counted over texts."""

    texts: int


Key = TypeVar("Key", bound=Hashable)
Count = TypeVar("Count", bound=Counted)


class BoundedCounts(dict[Key, Count]):
    """Counts by key; a missing key gets a new count.

    At twice as many keys as `most`, the half with fewer texts is dropped. A dropped key that occurs
    again is counted from zero.

    Attributes:
        most: half the number of keys that may be held.
        created: number of counts that were ever created, dropped ones included.
    """

    def __init__(self, new: Callable[[], Count], *, most: int) -> None:
        super().__init__()
        self._new = new
        self.most = most
        self.created = 0

    def __missing__(self, key: Key) -> Count:
        self.created += 1
        return self.setdefault(key, self._new())

    def drop_rarest(self) -> None:
        """Drop the rarer half of the keys if there are too many."""
        if len(self) > 2 * self.most:
            kept = nlargest(self.most, self.items(), key=lambda item: item[1].texts)
            self.clear()
            self.update(kept)


@dataclass(slots=True)
class WordCount:
    """What is counted of one word under one predicted label; see `LeadingWord` for the fields.

    `share` is a sum here.
    """

    texts: int = 0
    share: float = 0.0
    leads: int = 0
    with_gold: int = 0
    wrong: int = 0
    rows: tuple[int, ...] = ()

    def count_led_text(self, row: RowStats) -> None:
        """Count a text that the word leads."""
        self.leads += 1
        self.with_gold += row.correct is not None
        self.wrong += row.correct is False
        if len(self.rows) < EXAMPLE_ROWS:
            self.rows = (*self.rows, row.record["ordinal"])


@dataclass(frozen=True, slots=True)
class LeadingWord:
    """A word in the texts with one predicted label, or with any (of a suspect).

    Attributes:
        word: the word's key.
        label: the predicted label; None for a regression.
        texts: how many texts contain the word.
        share: its mean share in those texts.
        leads: how many texts it leads.
        with_gold: how many of the texts that it leads have a known gold label.
        wrong: how many of the texts that it leads have a wrong prediction.
        rows: the ordinals of the first texts that it leads.
    """

    word: str
    label: str | None
    texts: int
    share: float
    leads: int
    with_gold: int
    wrong: int
    rows: tuple[int, ...]


def sum_of_counts(word: str, label: str | None, counts: Iterable[WordCount]) -> LeadingWord:
    """Return the sum of a word's counts.

    Args:
        word: the word's key.
        label: the label of the sum.
        counts: the counts under one label or several.
    """
    parts = list(counts)
    texts = sum(part.texts for part in parts)
    return LeadingWord(
        word,
        label,
        texts=texts,
        share=sum(part.share for part in parts) / texts,
        leads=sum(part.leads for part in parts),
        with_gold=sum(part.with_gold for part in parts),
        wrong=sum(part.wrong for part in parts),
        rows=tuple(sorted(row for part in parts for row in part.rows)[:EXAMPLE_ROWS]),
    )
