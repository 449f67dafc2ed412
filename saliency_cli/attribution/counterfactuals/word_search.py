"""What the searches over the words of a text share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from saliency_cli.attribution.counterfactuals.predictor import Decision, Predictor
from saliency_cli.attribution.counterfactuals.text_words import TextWords, WordSet

SEARCHED_WORDS = 32
"""Words up to which a search tries all of them at each step; of more, it leaves some out."""


class Judged(NamedTuple):
    """A set of words, and what the model says of the text that they make.

    Attributes:
        kept: The words.
        keeps: Whether the decision is the same as on the whole text.
        support: The probability of the decision.
    """

    kept: WordSet
    keeps: bool
    support: float


class Found(NamedTuple):
    """The result of a search.

    Attributes:
        kept: The words that stay.
        smallest: Whether every smaller set of words was tried; else it is the smallest found.
    """

    kept: WordSet
    smallest: bool


@dataclass(frozen=True, slots=True)
class WordSearch:
    """A text whose words are left out.

    Attributes:
        words: Its words.
        decision: The model's decision on it.
        predictor: Predicts what is left of it.
    """

    words: TextWords
    decision: Decision
    predictor: Predictor

    def judge(self, sets: Iterable[WordSet]) -> list[Judged]:
        """Return what the model says of sets of words that stay; those without a text are left out.

        Raises:
            RowFailure: The tokenizer or the model fails.
        """
        kept = [each for each in dict.fromkeys(sets) if self.words.in_each_text(each)]
        if not kept:
            return []
        logits = self.predictor.logits([self.words.joined(each) for each in kept])
        decision = self.decision
        columns = (kept, decision.is_kept(logits), decision.support(logits))
        return [Judged(*each) for each in zip(*columns, strict=True)]
