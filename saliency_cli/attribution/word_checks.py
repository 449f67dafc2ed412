"""Checks: forward passes over a text without its strongest words, one word at a time.

A share says what a method derives from gradients or samples. A check says what the model does: the
probability of the target without the word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.rounds import RoundResult
from saliency_cli.attribution.text_state import EncodedRow
from saliency_cli.attribution.units import span_of, word_positions
from saliency_cli.explanations import Explanation, WordCheck
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import to_device
from saliency_cli.model.heads import Target, predict
from saliency_cli.model.passes import token_batch
from saliency_cli.model.perturbation import Removal, perturbed_logits
from saliency_cli.records import Encoding
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
    words: dict[str, list[list[int]]] = {}
    for positions in word_positions(explanation.row, explanation.encoding):
        key = word_key(_text(explanation, positions))
        if key:
            words.setdefault(key, []).append(positions)
    scores = explanation.attribution.scores

    def size(places: list[list[int]]) -> float:
        return abs(sum(scores[position] for positions in places for position in positions))

    strongest = sorted(words.values(), key=size, reverse=True)[:most]
    return [_strong_word(explanation, places) for places in strongest]


def _text(explanation: Explanation, positions: Sequence[int]) -> str:
    """Return the characters of the tokens at some neighbouring positions, without white space."""
    segment, start, end = span_of(explanation.encoding, positions)
    return (explanation.row.text, explanation.row.pair or "")[segment][start:end].strip()


def _strong_word(explanation: Explanation, places: Sequence[Sequence[int]]) -> StrongWord:
    spans = [span_of(explanation.encoding, positions) for positions in places]
    own, pair = (
        tuple((start, end) for each, start, end in spans if each == segment) for segment in (0, 1)
    )
    positions = frozenset(position for positions in places for position in positions)
    text = _text(explanation, places[0])[:KEY_LENGTH]
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
        fill = classifier.tokenizer.mask_token_id
        removal = Removal(None if fill is None else int(fill))
        lines, kept = self._lines()
        logits = self._logits(lines, kept, classifier, budget=budget, removal=removal)
        # A text in several windows is predicted from the mean of their logits.
        counts = torch.tensor([text.text.passes for text in self.texts for _ in text.words])
        owners = torch.arange(len(counts)).repeat_interleave(counts)
        sums = torch.zeros(len(counts), logits.shape[1]).index_add_(0, owners, logits)
        predictions = predict(
            sums / counts[:, None], labels=classifier.labels, head=classifier.head
        )
        found = iter(predictions)
        by = "delete" if removal.fill is None else "mask"
        checks = {}
        for text in self.texts:
            outputs = [next(found).output(text.target.plus) for _ in text.words]
            if text.text.failure is None:
                checks[text.text.row.ordinal] = tuple(
                    WordCheck(word.text, *word.spans, output, by)
                    for word, output in zip(text.words, outputs, strict=True)
                )
        return RoundResult((), (), checks=checks)

    def _lines(self) -> tuple[list[Encoding], Tensor]:
        """Return the window of each pass, and whether each of its tokens stays, [B, L]."""
        lines, kept = [], []
        for text in self.texts:
            for word in text.words:
                for window in text.text.encoded.windows:
                    lines.append(window.encoding)
                    kept.append([place not in word.positions for place in window.positions])
        longest = max(map(len, lines))
        return lines, torch.tensor([[*each, *[True] * (longest - len(each))] for each in kept])

    def _logits(
        self,
        lines: Sequence[Encoding],
        kept: Tensor,
        classifier: Classifier,
        *,
        budget: Budget,
        removal: Removal,
    ) -> Tensor:
        """Return the logits of each pass, [B, C], made in as many batches as the budget needs."""
        tokens = token_batch(lines, classifier)
        logits = torch.empty(len(lines), len(classifier.labels))
        for chosen in budget.batches(tokens.lengths, passes=1):
            some = tokens.select(chosen)
            stays = to_device(kept[chosen][:, : some.longest], classifier.device)
            logits[chosen] = perturbed_logits(classifier, some, stays, removal=removal)
        return logits

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
