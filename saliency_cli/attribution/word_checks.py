"""Checks: forward passes over a text without its strongest words, one word at a time.

A share says what a method derives from gradients or samples. A check says what the model does: the
probability of the target without the word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.removal_passes import mean_logits, word_removal
from saliency_cli.attribution.rounds import RoundResult
from saliency_cli.attribution.text_state import EncodedRow
from saliency_cli.attribution.units import span_of, word_positions
from saliency_cli.explanations import Explanation, WordCheck
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import Target, predict
from saliency_cli.records import Encoding, Row
from saliency_cli.word_boundaries import KEY_LENGTH, word_key


@dataclass(frozen=True, slots=True)
class StrongWord:
    """A word of a text, with all its occurrences.

    Attributes:
        text: The first occurrence as it is written, cut to `KEY_LENGTH`.
        spans: The code points [start, end) of each occurrence in the text, and in its pair.
        positions: The positions of its tokens in the whole text.
    """

    text: str
    spans: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]
    positions: frozenset[int]


def strongest_words(explanation: Explanation, *, most: int) -> list[StrongWord]:
    """Return the words with the largest |sum of scores| for the first target, largest first.

    Occurrences of a word are added up, whatever their spelling (`word_key`).

    Args:
        explanation: The explanation of a text.
        most: How many words are returned at most.
    """
    words = words_by_key(explanation.row, explanation.encoding)
    scores = explanation.attribution.scores

    def size(places: list[list[int]]) -> float:
        return abs(sum(scores[position] for positions in places for position in positions))

    strongest = sorted(words.values(), key=size, reverse=True)[:most]
    return [_strong_word(explanation, places) for places in strongest]


def words_by_key(row: Row, encoding: Encoding) -> dict[str, list[list[int]]]:
    """Return the positions of the tokens of each occurrence of a word, by the word's key.

    Args:
        row: A row.
        encoding: Its tokens.
    """
    words: dict[str, list[list[int]]] = {}
    for positions in word_positions(row, encoding):
        key = word_key(written_word(row, encoding, positions))
        if key:
            words.setdefault(key, []).append(positions)
    return words


def written_word(row: Row, encoding: Encoding, positions: Sequence[int]) -> str:
    """Return the characters of the tokens at some neighbouring positions, without white space.

    Args:
        row: A row.
        encoding: Its tokens.
        positions: Those of a word.
    """
    segment, start, end = span_of(encoding, positions)
    return (row.text, row.pair or "")[segment][start:end].strip()


def _strong_word(explanation: Explanation, places: Sequence[Sequence[int]]) -> StrongWord:
    spans = [span_of(explanation.encoding, positions) for positions in places]
    own, pair = (
        tuple((start, end) for each, start, end in spans if each == segment) for segment in (0, 1)
    )
    positions = frozenset(position for positions in places for position in positions)
    text = written_word(explanation.row, explanation.encoding, places[0])[:KEY_LENGTH]
    return StrongWord(text, (own, pair), positions)


@dataclass(frozen=True, slots=True)
class CheckedText:
    """An explained text whose strongest words are checked.

    Attributes:
        text: The text, or its stand-in after the model failed on it without a word.
        explanation: Its explanation.
        target: The first target, whose probability is looked at.
        words: The words.
    """

    text: EncodedRow
    explanation: Explanation
    target: Target
    words: tuple[StrongWord, ...]

    @property
    def length(self) -> int:
        """Tokens of the longest pass."""
        return self.text.length

    @property
    def passes(self) -> int:
        """Passes of all checks: one for each word and window."""
        return len(self.words) * self.text.passes


@dataclass(frozen=True, slots=True)
class CheckRound:
    """Forward passes over texts without one of their words each."""

    texts: tuple[CheckedText, ...]

    def run(self, classifier: Classifier, _maths: Maths, budget: Budget) -> RoundResult:
        """Return the checks of each text; none for a text on which the model fails then.

        Args:
            classifier: The model or a replica of it.
            budget: Tokens of a batch.
        """
        pairs = [(text, word) for text in self.texts for word in text.words]
        logits = mean_logits(
            [text.text.encoded for text, _ in pairs],
            [word.positions for _, word in pairs],
            classifier,
            budget=budget,
        )
        predictions = predict(logits, labels=classifier.labels, head=classifier.head)
        found = iter(predictions)
        by = "delete" if word_removal(classifier).fill is None else "mask"
        checks = {}
        for text in self.texts:
            outputs = [next(found).output(text.target.plus) for _ in text.words]
            if text.text.failure is None:
                checks[text.text.row.ordinal] = tuple(
                    WordCheck(word.text, *word.spans, output, by)
                    for word, output in zip(text.words, outputs, strict=True)
                )
        return RoundResult((), (), checks=checks)

    @property
    def encoded(self) -> list[EncodedRow]:
        """The texts of the round."""
        return [each.text for each in self.texts]

    def only(self, texts: Sequence[EncodedRow]) -> Self:
        """Return the round of some of its texts."""
        kept = {text.row.ordinal for text in texts}
        return replace(
            self, texts=tuple(each for each in self.texts if each.text.row.ordinal in kept)
        )

    def with_stand_ins(
        self, replaced: dict[int, EncodedRow], _classifier: Classifier
    ) -> "CheckRound":
        """Return the round with other encodings of some texts, by their position."""
        return CheckRound(
            tuple(
                replace(each, text=replaced.get(n, each.text)) for n, each in enumerate(self.texts)
            )
        )
