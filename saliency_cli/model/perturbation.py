"""Texts without some of their tokens: replaced by another token, or deleted.

Shapes: B texts, L tokens of the longest, C labels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from saliency_cli.model.classifier import Classifier
from saliency_cli.model.output_logits import check_width
from saliency_cli.model.passes import forward_logits
from saliency_cli.model.token_batch import TokenBatch


def mask_id(classifier: Classifier) -> int:
    """Return the id of the tokenizer's mask token, or of its padding token if there is no mask."""
    mask = classifier.tokenizer.mask_token_id
    return classifier.pad_id if mask is None else int(mask)


@dataclass(frozen=True, slots=True)
class Removal:
    """What takes the place of a token that is taken out of a text.

    Attributes:
        fill: The id of the token in its place; None deletes it, which shortens the text.
    """

    fill: int | None

    def apply(self, tokens: TokenBatch, kept: Tensor) -> TokenBatch:
        """Return texts without some tokens.

        A text of which nothing is left is one padding token, since models fail on no token at all.

        Args:
            tokens: The texts.
            kept: True for the tokens that stay, [B, L], on the device of the tokens; of no meaning
                on padding.
        """
        if self.fill is not None:
            return replace(tokens, ids=tokens.ids.where(kept, self.fill))
        kept = kept & tokens.mask()
        order = (~kept).long().argsort(dim=1, stable=True)
        lengths = kept.sum(dim=1)
        ids = tokens.ids.where(kept, tokens.pad_id).gather(1, order)
        type_ids = tokens.type_ids.where(kept, 0).gather(1, order)
        lengths = lengths.cpu().clamp(min=1)
        longest = int(lengths.max())
        return TokenBatch(ids[:, :longest], type_ids[:, :longest], lengths, tokens.pad_id)


def perturbed_logits(
    classifier: Classifier, tokens: TokenBatch, kept: Tensor, *, removal: Removal
) -> Tensor:
    """Return the logits [B, C] of texts without some of their tokens, float32, on the CPU.

    Texts of different lengths share a pass only if padding does not change the model's logits.

    Args:
        classifier: The model.
        tokens: The texts.
        kept: True for the tokens that stay, [B, L].
        removal: What takes the place of the others.
    """
    perturbed = removal.apply(tokens, kept)
    if classifier.padding_blind:
        logits = forward_logits(classifier, perturbed)
    else:
        logits = torch.empty(len(perturbed), len(classifier.labels))
        for length in {*perturbed.lengths.tolist()}:
            alike = (perturbed.lengths == length).nonzero()[:, 0]
            logits[alike] = forward_logits(classifier, perturbed.select(alike))
    check_width(logits, labels=len(classifier.labels))
    return logits
