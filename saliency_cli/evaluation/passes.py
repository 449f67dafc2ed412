"""Forward passes over texts without some of their tokens, in full batches, on all replicas.

Shapes: T texts, N lines (a line is a text without some tokens), L tokens of the longest text, C
labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor

from saliency_cli import signals
from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.replicas import ReplicaPool
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import to_device
from saliency_cli.model.passes import token_batch
from saliency_cli.model.perturbation import Removal, mask_id, perturbed_logits
from saliency_cli.model.token_batch import TokenBatch
from saliency_cli.records import Encoding

REMOVALS = ("mask", "delete")
"""How tokens are taken out: replaced by the mask token (without one, by padding), or deleted."""


@dataclass(frozen=True, slots=True)
class Passes:
    """Runs a model over lines. Which line is in which batch follows from the lines alone.

    Attributes:
        classifier: The model.
        pool: Its replicas.
        budget: Tokens of a batch.
        tokens: The texts.
        removable: True for the tokens that may be taken out, [T, L]: not special, no padding.
    """

    classifier: Classifier
    pool: ReplicaPool
    budget: Budget
    tokens: TokenBatch
    removable: Tensor

    @classmethod
    def over(
        cls,
        encodings: Sequence[Encoding],
        classifier: Classifier,
        pool: ReplicaPool,
        budget: Budget,
    ) -> Self:
        """Return the passes over some texts.

        Args:
            encodings: The texts.
            classifier: The model.
            pool: Its replicas.
            budget: Tokens of a batch.
        """
        tokens = token_batch(encodings, classifier)
        removable = torch.zeros(len(tokens), tokens.longest, dtype=torch.bool)
        for line, encoding in zip(removable, encodings, strict=True):
            line[: len(encoding)] = ~torch.tensor(encoding.special, dtype=torch.bool)
        return cls(classifier, pool, budget, tokens, removable)

    def clean_logits(self) -> Tensor:
        """Return the logits of the texts as they are, [T, C]."""
        texts = torch.arange(len(self.tokens))
        return self.logits(texts, torch.zeros_like(self.removable), by="mask")

    def logits(self, texts: Tensor, removed: Tensor, *, by: str) -> Tensor:
        """Return the logits of lines, [N, C].

        Args:
            texts: The number of each line's text, [N].
            removed: True for the tokens that are taken out, [N, L].
            by: One of `REMOVALS`.
        """
        removal = Removal(mask_id(self.classifier) if by == "mask" else None)
        lengths = self.tokens.lengths[texts]
        if by == "delete":
            lengths = (lengths - removed.sum(dim=1)).clamp(min=1)
        batches = [*self.budget.batches(lengths, passes=1)]
        run = partial(_run, tokens=self.tokens, removal=removal)
        jobs = [
            self.pool.submit(partial(run, texts=texts[batch], removed=removed[batch]))
            for batch in batches
        ]
        logits = torch.empty(len(texts), len(self.classifier.labels))
        for batch, job in zip(batches, jobs, strict=True):
            logits[batch] = job.result()
            signals.check()
        return logits


def _run(
    classifier: Classifier,
    *,
    tokens: TokenBatch,
    texts: Tensor,
    removed: Tensor,
    removal: Removal,
) -> Tensor:
    """Return the logits of a batch of lines, [B, C]."""
    lines = tokens.select(texts)
    kept = to_device(~removed[:, : lines.longest], lines.ids.device)
    return perturbed_logits(classifier, lines, kept, removal=removal)
