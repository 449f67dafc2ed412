"""Baselines: what a text is compared with, the same length and the same special tokens.

Special tokens keep their own embeddings, so that only the text is taken away.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from saliency_cli.attribution.units import unit_numbers
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import to_device
from saliency_cli.model.passes import NO_UNIT, CleanPasses, clean_passes, forward_logits
from saliency_cli.model.perturbation import Removal, mask_id
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import BaselineName


def masked(clean: CleanPasses, special: Tensor, classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Return the baseline in which each token of the text is the mask token.

    Where the tokenizer has no mask token, it is the padding token.

    Args:
        clean: The clean passes of B texts.
        special: True for special tokens, [B, L].
        classifier: The model.

    Returns:
        The baseline's embeddings [B, L, H] and logits [B, C].
    """
    return _replaced(clean, special, classifier, fill=mask_id(classifier))


def padded(clean: CleanPasses, special: Tensor, classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Return the baseline in which each token of the text is the padding token, see `masked`."""
    return _replaced(clean, special, classifier, fill=classifier.pad_id)


def zeros(clean: CleanPasses, special: Tensor, classifier: Classifier) -> tuple[Tensor, Tensor]:
    """Return the baseline in which each embedding of the text is zero, see `masked`."""
    embeddings = clean.embeddings.where(special[..., None], 0)
    return embeddings, forward_logits(classifier, clean.tokens, embeddings - clean.embeddings)


def _replaced(
    clean: CleanPasses, special: Tensor, classifier: Classifier, *, fill: int
) -> tuple[Tensor, Tensor]:
    passes = clean_passes(classifier, Removal(fill).apply(clean.tokens, special))
    return passes.embeddings, passes.logits


BASELINES: dict[
    BaselineName, Callable[[CleanPasses, Tensor, Classifier], tuple[Tensor, Tensor]]
] = {"mask": masked, "pad": padded, "zero": zeros}


def with_baseline(
    clean: CleanPasses,
    rows: Sequence[Row],
    encodings: Sequence[Encoding],
    classifier: Classifier,
    *,
    name: BaselineName,
) -> CleanPasses:
    """Return the clean passes of a batch with the embeddings and logits of a baseline.

    Args:
        clean: The clean passes.
        rows: The row of each text.
        encodings: The tokens of each text.
        classifier: The model, which is run once more.
        name: A key of `BASELINES`.
    """
    units = unit_numbers(rows, encodings, units="tokens")
    special = to_device(units == NO_UNIT, clean.embeddings.device)
    embeddings, logits = BASELINES[name](clean, special, classifier)
    return replace(clean, baselines=embeddings, baseline_logits=logits)
