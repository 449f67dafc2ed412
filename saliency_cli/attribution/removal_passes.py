"""Forward passes over texts in their windows, without some of their tokens.

Shapes: B texts, P passes (one for each window), L tokens of the longest window, C labels.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import torch
from torch import Tensor

from saliency_cli.attribution.batching import Budget
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import to_device
from saliency_cli.model.passes import token_batch
from saliency_cli.model.perturbation import Removal, perturbed_logits
from saliency_cli.records import Encoded


def word_removal(classifier: Classifier) -> Removal:
    """Return how words are taken out: masked, or deleted where the tokenizer has no mask token."""
    fill = classifier.tokenizer.mask_token_id
    return Removal(None if fill is None else int(fill))


def mean_logits(
    texts: Sequence[Encoded],
    removed: Sequence[AbstractSet[int]],
    classifier: Classifier,
    *,
    budget: Budget,
) -> Tensor:
    """Return the mean of the logits of each text's windows, [B, C], without some of its tokens.

    Args:
        texts: The texts, at least one.
        removed: The positions of the tokens of each text that are taken out.
        classifier: The model or a replica of it.
        budget: Tokens of a batch; all passes are made in as many batches as it needs.
    """
    pairs = zip(texts, removed, strict=True)
    passes = [(window, out) for text, out in pairs for window in text.windows]
    tokens = token_batch([window.encoding for window, _ in passes], classifier)
    kept = torch.ones(len(passes), tokens.longest, dtype=torch.bool)
    for line, (window, out) in zip(kept, passes, strict=True):
        line[[place for place, at in enumerate(window.positions) if at in out]] = False
    logits = torch.empty(len(passes), len(classifier.labels))
    for chosen in budget.batches(tokens.lengths, passes=1):
        some = tokens.select(chosen)
        stays = to_device(kept[chosen][:, : some.longest], classifier.device)
        removal = word_removal(classifier)
        logits[chosen] = perturbed_logits(classifier, some, stays, removal=removal)
    counts = torch.tensor([len(text.windows) for text in texts])
    owners = torch.arange(len(texts)).repeat_interleave(counts)
    return torch.zeros(len(texts), logits.shape[1]).index_add_(0, owners, logits) / counts[:, None]
