"""The words of a text that the model reads, and the texts that some of them make."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeAlias

from saliency_cli.attribution.counterfactuals.predictor import Texts
from saliency_cli.attribution.units import span_of, word_positions
from saliency_cli.records import Encoding, Row
from saliency_cli.word_boundaries import is_word_character

WordSet: TypeAlias = tuple[int, ...]
"""Numbers of words, in ascending order."""


class WordSpan(NamedTuple):
    """Where a word is: code points [start, end) of the text, or of the pair in segment 1."""

    segment: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TextWords:
    """The words of a row's texts, as pages have them: punctuation is a word by itself.

    Attributes:
        texts: The row's texts, unchanged.
        spans: The words that the model reads, in reading order.
        truncated: Whether the model reads less than the texts.
    """

    texts: Texts
    spans: tuple[WordSpan, ...]
    truncated: bool = False

    @classmethod
    def of(cls, row: Row, encoding: Encoding) -> Self:
        """Return the words of a row.

        Args:
            row: The row.
            encoding: The tokens that the model reads of it.
        """
        texts = (row.text,) if row.pair is None else (row.text, row.pair)
        return cls(texts, tuple(_word_spans(row, encoding)), encoding.truncated)

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def all(self) -> WordSet:
        """All words."""
        return tuple(range(len(self.spans)))

    def without(self, removed: Iterable[int]) -> WordSet:
        """Return all words but the removed ones."""
        gone = set(removed)
        return tuple(number for number in self.all if number not in gone)

    def in_each_text(self, kept: WordSet) -> bool:
        """Return whether each text keeps a word: without one it has no token."""
        return len({self.spans[number].segment for number in kept}) == len(self.texts)

    def read_from(self, segment: int) -> int:
        """Return the code point of a text from which the model reads it."""
        starts = (span.start for span in self.spans if span.segment == segment)
        return next(starts) if self.truncated else 0

    def joined(self, kept: WordSet) -> Texts:
        """Return the texts that some words make.

        A word is removed with what is between it and the word before, so the tokens of the others
        stay, also where a token begins with a space. A space stands between two words that would
        become one.
        """
        if len(kept) == len(self) and not self.truncated:
            return self.texts
        segments = range(len(self.texts))
        return tuple("".join(self._parts(segment, kept)) for segment in segments)

    def _parts(self, segment: int, kept: WordSet) -> Iterator[str]:
        """Yield the words of one text that stay, and what is between them."""
        text, previous = self.texts[segment], ""
        for number in kept:
            own, start, end = self.spans[number]
            if own != segment:
                continue
            if previous:
                between = text[self.spans[number - 1].end : start]
                joins = is_word_character(previous[-1]) and is_word_character(text[start])
                yield between or (" " if joins else "")
            previous = text[start:end]
            yield previous


def _word_spans(row: Row, encoding: Encoding) -> Iterator[WordSpan]:
    """Yield the words of a row's texts, without those of only white space."""
    for positions in word_positions(row, encoding):
        segment, start, end = span_of(encoding, positions)
        if (row.text, row.pair or "")[segment][start:end].strip():
            yield WordSpan(segment, start, end)
