"""What the first screen says beside the other findings: decisive words, and undecided shares."""

from collections import Counter
from dataclasses import dataclass, field

from saliency_cli.analysis.word_checks import check_views
from saliency_cli.analysis.word_shares import RowStats
from saliency_cli.records import Record
from saliency_cli.word_boundaries import word_key

DECISIVE = 0.5
"""A word decides a prediction if the label's probability falls below this without the word."""

WORDS_NAMED = 3
"""Decisive words that are named, those of most texts."""

MAX_WORDS = 50_000
"""Decisive words that are counted: at twice as many, the rarer half is dropped."""

SMALLEST_SHARE = 0.01
"""Tokens with a smaller share have no shade, whatever their error is."""


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Counts over the explained rows.

    Attributes:
        checked: rows whose strongest words were left out, with a label of 50 % or more before.
        decided: rows of these whose label falls below 50 % without one of the words.
        words: (word, number of rows that it decides), those of most rows first.
        shares: tokens of the text whose share has an error, and is 1 % or more in size.
        undecided: how many of these shares are not larger than their error.
    """

    checked: int
    decided: int
    words: tuple[tuple[str, int], ...]
    shares: int
    undecided: int
    priority_rows: tuple[int, ...] = ()
    example_rows: tuple[int, ...] = ()


@dataclass(slots=True)
class FirstLookCounts:
    """Counts what `FirstLook` has."""

    checked: int = 0
    decided: int = 0
    words: Counter[str] = field(default_factory=Counter)
    shares: int = 0
    undecided: int = 0

    def add(self, row: RowStats) -> None:
        """Count one explained row."""
        self._count_shares(row.record)
        probability = row.record["probability"]
        checks = check_views(row.record)
        if not checks or checks[0].label != row.record["predicted"] or probability is None:
            return
        if probability >= DECISIVE:
            self.checked += 1
            decisive = {word_key(each.word) for each in checks if each.output < DECISIVE}
            self.decided += bool(decisive)
            self._count_words(decisive)

    def _count_words(self, words: set[str]) -> None:
        self.words.update(words)
        if len(self.words) > 2 * MAX_WORDS:
            self.words = Counter(dict(self.words.most_common(MAX_WORDS)))

    def _count_shares(self, record: Record) -> None:
        for score, error, special in zip(
            record["scores"], record["errors"] or (), record["special"], strict=False
        ):
            if not special and abs(score) >= SMALLEST_SHARE:
                self.shares += 1
                self.undecided += abs(score) <= error

    def result(self) -> FirstLook:
        """Return the counts of the rows that were added."""
        ranked = sorted(self.words.items(), key=lambda item: (-item[1], item[0]))
        named = tuple(ranked[:WORDS_NAMED])
        return FirstLook(self.checked, self.decided, named, self.shares, self.undecided)
