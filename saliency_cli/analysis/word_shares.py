"""One explained record as the findings look at it, worked out once for all of them."""

from dataclasses import dataclass
from typing import TypeAlias

from saliency_cli.analysis.words import Word, judged, words
from saliency_cli.records import Record

Shares: TypeAlias = dict[str, float]
"""Word -> its share of one text, in the order of the text."""


@dataclass(frozen=True, slots=True)
class RowStats:
    """A record, whether its prediction is right, its words' shares, and the word that leads."""

    record: Record
    right: bool | None
    shares: Shares
    leading: str | None


def row_stats(record: Record) -> RowStats:
    """Work out what the findings need of an explained record."""
    found = shares(words(record))
    return RowStats(record, judged(record), found, leader(found))


def shares(words: list[Word]) -> Shares:
    """Add up the scores of each word of a text."""
    found: Shares = {}
    for word in words:
        found[word.key] = found.get(word.key, 0.0) + word.score
    return found


def leader(found: Shares) -> str | None:
    """Return the word with the largest share, the first of equals; None where none is above 0."""
    best = max(found, key=found.__getitem__, default=None)
    return best if best is not None and found[best] > 0 else None
