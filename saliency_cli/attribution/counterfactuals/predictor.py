"""Predictions for many variants of one text, and what they do to the model's decision on it.

Shapes: B texts, L tokens, H embedding dimensions, C labels.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeAlias

import torch
from torch import Tensor

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.methods.base import Needs
from saliency_cli.attribution.replicas import ReplicaPool
from saliency_cli.attribution.row_failures import guarded
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import PROBABILITIES, Target, Targets
from saliency_cli.model.output_logits import check_width
from saliency_cli.model.passes import forward_logits, gradient_passes, token_batch
from saliency_cli.model.tokenization import encode_rows
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import HeadName

Texts: TypeAlias = tuple[str, ...]
"""A text, or a text and its pair."""
BEAM_WIDTH = 3
"""Variants that each step of a search goes on from, as in AllenNLP Interpret."""


@dataclass(frozen=True, slots=True)
class _Variant:
    """A variant of the text with its tokens, as `Budget` packs it."""

    texts: Texts
    encoding: Encoding

    @property
    def length(self) -> int:
        return len(self.encoding)

    @property
    def passes(self) -> int:
        return 1


class Predictor:
    """Predicts variants of a text in full batches, each distinct one once.

    Attributes:
        classifier: The model.
        evaluations: Forward passes made so far; one with its backward pass counts 3.
    """

    def __init__(self, classifier: Classifier, budget: Budget, pool: ReplicaPool) -> None:
        self.classifier = classifier
        self.evaluations = 0
        self._budget = budget
        self._pool = pool
        self._known: dict[Texts, Tensor] = {}

    def encode(self, variants: Sequence[Texts]) -> list[Encoding]:
        """Return the tokens of some variants, cut to what the model reads.

        Raises:
            RowFailure: The tokenizer fails.
        """
        rows = [Row(0, 1, None, texts[0], pair=(*texts, None)[1]) for texts in variants]
        tokenizer, most = self.classifier.tokenizer, self.classifier.max_length
        encoded = guarded("the tokenizer", lambda: encode_rows(tokenizer, rows, max_length=most))
        return [each.whole for each in encoded]

    def logits(self, variants: Sequence[Texts]) -> Tensor:
        """Return the logits of some variants, [B, C], float32, on the CPU.

        Raises:
            RowFailure: The tokenizer or the model fails, or a logit is not finite.
        """
        new = [texts for texts in dict.fromkeys(variants) if texts not in self._known]
        longest_first = sorted(map(_Variant, new, self.encode(new)), key=lambda each: -each.length)
        queue, batches = deque(longest_first), []
        while queue:
            batches.append(self._budget.take(queue))
        jobs = [(batch, self._pool.submit(partial(_logits, batch=batch))) for batch in batches]
        for batch, job in jobs:
            self._known |= zip([each.texts for each in batch], job.result(), strict=True)
        self.evaluations += len(new)
        return torch.stack([self._known[texts] for texts in variants])

    def gradients(self, encodings: Sequence[Encoding], targets: Sequence[Target]) -> list[Tensor]:
        """Return the gradients of F at the embeddings, [L, H] for each text.

        Args:
            encodings: The texts' tokens.
            targets: F, for each text.

        Raises:
            RowFailure: The model fails.
        """
        pairs = zip(encodings, targets, strict=True)
        jobs = [self._pool.submit(partial(_gradient, text=t, target=f)) for t, f in pairs]
        self.evaluations += Needs.GRADIENT_PASSES.value * len(jobs)
        return [job.result() for job in jobs]


def _gradient(classifier: Classifier, text: Encoding, target: Target) -> Tensor:
    """Return the gradient of F at the embeddings of a text, [L, H]."""

    def run() -> Tensor:
        tokens, targets = token_batch([text], classifier), Targets.of([target])
        return gradient_passes(classifier, tokens, None, targets=targets, objective="logit").values[
            0
        ]

    return guarded("the model", run)


def _logits(classifier: Classifier, batch: Sequence[_Variant]) -> Tensor:
    """Return the logits [B, C] of a batch."""

    def run() -> Tensor:
        tokens = token_batch([each.encoding for each in batch], classifier)
        logits = forward_logits(classifier, tokens)
        check_width(logits, labels=len(classifier.labels))
        if not bool(logits.isfinite().all()):
            raise ValueError("a logit is not finite")
        return logits

    return guarded("the model", run)


@dataclass(frozen=True, slots=True)
class Decision:
    """The model's decision on a text: the label that it predicts, or one label's side.

    Attributes:
        target: The label; with the logit above which a multi-label head assigns it.
        code: What `Targets.decisions` gives for the text.
        head: How logits are read.
    """

    target: Target
    code: int
    head: HeadName

    @classmethod
    def of(cls, target: Target, logits: Tensor, head: HeadName) -> Self:
        """Return the decision on a text.

        Args:
            target: The label.
            logits: The text's logits [C].
            head: How they are read.
        """
        return cls(target, int(Targets.of([target]).decisions(logits[None])), head)

    @property
    def assigned(self) -> bool:
        """Whether the text has the label; not so below the threshold of a multi-label head."""
        return self.head != "multi-label" or bool(self.code)

    def is_kept(self, logits: Tensor) -> list[bool]:
        """Return for each variant whether the decision is the same, for logits [B, C]."""
        targets = Targets.of([self.target] * len(logits))
        return [code == self.code for code in targets.decisions(logits).tolist()]

    def support(self, logits: Tensor) -> list[float]:
        """Return for each variant the probability of the decision, for logits [B, C]."""
        shares = [row[self.target.plus] for row in PROBABILITIES[self.head](logits.double())]
        return shares if self.assigned else [1 - share for share in shares]
