"""Words whose share of the saliency rose or fell between two runs, over all texts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Any

from saliency_cli.analysis.word_counts import BoundedCounts
from saliency_cli.comparison.distance import WordMove
from saliency_cli.figures.rounding import rounded

WORDS_SHOWN = 10
"""Words that gained, and words that lost."""
FEWEST_TEXTS = 5
"""With fewer texts, the standard error of a word's mean change is too uncertain to list it."""
ERROR_RATE = 0.01
"""Bound on the probability that any word is listed although no share changed in the mean."""
SMALLEST_MEAN = 0.001
"""A smaller mean change of a word's share is not listed, however small its error is."""
MAX_WORDS = 50_000


@dataclass(slots=True)
class _Sums:
    """Sums over the texts with a word.

    Attributes:
        texts: how many there are; `BoundedCounts` drops the rarest by it.
        before: sum of the shares in the first run; `after` of those in the second one.
        squares: sum of the squares of the differences.
    """

    texts: int = 0
    before: float = 0.0
    after: float = 0.0
    squares: float = 0.0

    def add(self, move: WordMove) -> None:
        self.texts += 1
        self.before += move.before
        self.after += move.after
        self.squares += move.change**2

    @property
    def change(self) -> float:
        """The mean change of the share in a text with the word."""
        return (self.after - self.before) / self.texts

    @property
    def error(self) -> float:
        """The standard error of the mean change, from the differences of the texts."""
        variance = max(0.0, self.squares / self.texts - self.change**2)
        return sqrt(variance / (self.texts - 1))


@dataclass(slots=True)
class WordChangeCounts:
    """Counts the shares of all words in both runs."""

    _sums: BoundedCounts[str, _Sums] = field(
        default_factory=lambda: BoundedCounts(_Sums, most=MAX_WORDS)
    )

    def add(self, moves: Iterable[WordMove]) -> None:
        """Count the words of one text."""
        for move in moves:
            self._sums[move.word].add(move)
        self._sums.drop_rarest()

    def result(self) -> dict[str, list[dict[str, Any]]]:
        """Return the words that gained and those that lost, the largest change of all texts first.

        A word is listed if its mean change is beyond chance: |mean| > z · error, where z bounds the
        tail of a normal distribution by `ERROR_RATE` over all words (Bonferroni).
        """
        known = [(word, sums) for word, sums in self._sums.items() if sums.texts >= FEWEST_TEXTS]
        beyond = sqrt(2 * log(2 * max(1, len(known)) / ERROR_RATE))
        found = [
            (word, sums)
            for word, sums in known
            if abs(sums.change) > max(SMALLEST_MEAN, beyond * sums.error)
        ]
        found.sort(key=lambda each: (-abs(each[1].change) * each[1].texts, each[0]))
        return {
            "gained": [_entry(*each) for each in found if each[1].change > 0][:WORDS_SHOWN],
            "lost": [_entry(*each) for each in found if each[1].change < 0][:WORDS_SHOWN],
        }


def _entry(word: str, sums: _Sums) -> dict[str, Any]:
    return {
        "word": word,
        "texts": sums.texts,
        "before": rounded(sums.before / sums.texts),
        "after": rounded(sums.after / sums.texts),
        "change": rounded(sums.change),
        "se": rounded(sums.error),
    }
