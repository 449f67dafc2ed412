"""Baselines: what a text is compared with, the same length and the same special tokens.

Special tokens keep their own embeddings, so that only the text is taken away.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import CleanPass, clean_passes
from saliency_cli.records import Encoding
from saliency_cli.settings import BaselineName


def masked(encoding: Encoding, classifier: Classifier) -> Encoding:
    """Return an encoding whose text is all mask tokens; padding tokens where there is no mask.

    Args:
        encoding: The text.
        classifier: Its model, with the tokenizer that knows the mask token.
    """
    mask = classifier.tokenizer.mask_token_id
    fill = classifier.pad_id if mask is None else int(mask)
    pairs = zip(encoding.ids, encoding.special, strict=True)
    return replace(encoding, ids=tuple(own if special else fill for own, special in pairs))


BASELINES: dict[BaselineName, Callable[[Encoding, Classifier], Encoding]] = {"mask": masked}


def with_baselines(
    cleans: Sequence[CleanPass], name: BaselineName, classifier: Classifier
) -> list[CleanPass]:
    """Return the clean passes of a batch with their baselines' embeddings B [L, H].

    Args:
        cleans: Clean passes of texts that fit into one batch.
        name: A key of `BASELINES`.
        classifier: The model, which is run once more.
    """
    encodings = [BASELINES[name](clean.encoding, classifier) for clean in cleans]
    found: list[Tensor] = [each.embedding for each in clean_passes(classifier, encodings)]
    return [replace(clean, baseline=each) for clean, each in zip(cleans, found, strict=True)]
