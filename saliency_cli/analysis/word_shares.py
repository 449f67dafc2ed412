"""What all findings need of an explained record, computed once per row."""

from dataclasses import dataclass
from typing import TypeAlias

from saliency_cli.analysis.words import Word, words
from saliency_cli.figures.correctness import prediction_is_correct
from saliency_cli.records import Record

Shares: TypeAlias = dict[str, float]
"""Word key -> the sum of its occurrences' scores in one text, in reading order."""


@dataclass(frozen=True, slots=True)
class RowStats:
    """An explained record and what is computed from it.

    Attributes:
        record: the record itself.
        correct: whether the prediction is correct; None without a known gold label.
        shares: each word's share of the text's saliency.
        leading_word: the word with the largest share; None if no share is above 0.
    """

    record: Record
    correct: bool | None
    shares: Shares
    leading_word: str | None


def row_stats(record: Record) -> RowStats:
    """Return what the findings need of an explained record."""
    shares = word_shares(words(record))
    return RowStats(record, prediction_is_correct(record), shares, leading_word(shares))


def word_shares(occurrences: list[Word]) -> Shares:
    """Return the sum of the scores of each word of a text."""
    shares: Shares = {}
    for word in occurrences:
        shares[word.key] = shares.get(word.key, 0.0) + word.score
    return shares


def leading_word(shares: Shares) -> str | None:
    """Return the word with the largest share, the first among equals; None if none is above 0."""
    best = max(shares, key=shares.__getitem__, default=None)
    return best if best is not None and shares[best] > 0 else None
