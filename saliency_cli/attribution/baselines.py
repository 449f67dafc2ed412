"""Baselines: what a text is compared with, the same length and the same special tokens.

Special tokens keep their own embeddings, so that only the text is taken away.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import CleanPasses, clean_passes, token_batch
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


def passes_with_baseline(
    classifier: Classifier, encodings: Sequence[Encoding], name: BaselineName | None
) -> CleanPasses:
    """Return the clean passes of a batch, with the embeddings of its baseline where there is one.

    Args:
        classifier: The model; for a baseline it is run once more.
        encodings: The texts.
        name: A key of `BASELINES`, or None.
    """
    clean = clean_passes(classifier, token_batch(encodings, classifier))
    if name is None:
        return clean
    others = [BASELINES[name](encoding, classifier) for encoding in encodings]
    baseline = clean_passes(classifier, token_batch(others, classifier))
    return replace(clean, baselines=baseline.embeddings)
