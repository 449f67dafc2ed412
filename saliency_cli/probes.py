"""Small experiments on a loaded model, so that what it cannot do is known before the first row."""

from dataclasses import replace

import torch
from torch import Tensor

from saliency_cli.classifier import Classifier
from saliency_cli.embedding import enclosing, find_layer
from saliency_cli.encoding import encode
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.passes import clean_passes, gradient_passes
from saliency_cli.records import Encoding

TEXT = "A few plain words."
OTHER = "A second and longer text stands beside the first, so that the first is padded."
PADDING_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
ROUNDING = 1e-3
"""|Σ_d G| as a share of ‖G‖₁ below which the sum over the dimensions is nothing but rounding."""


def probe(classifier: Classifier) -> Classifier:
    """Run the model once, and return it with what was found about padding.

    Raises:
        CheckpointError: it does not run, or not as a classifier with such an embedding layer.
    """
    short, long = _encodings(classifier)
    alone = _run(classifier, [short])
    expected = (1, len(classifier.labels))
    if alone.shape != expected:
        raise CheckpointError(
            f"the model gives logits of shape {tuple(alone.shape)}, its labels ask for {expected}"
        )
    if not bool(alone.isfinite().all()):
        raise CheckpointError("the model's logits are not finite: are its weights damaged?")
    beside = _run(classifier, [short, long])[:1]
    off = float((beside - alone).abs().max() / alone.abs().max().clamp(min=1))
    return replace(classifier, padding_blind=off <= PADDING_TOLERANCE[classifier.dtype])


def count_logits(classifier: Classifier) -> int:
    """Run the model once, and return how many logits it gives, whatever its labels say.

    Raises:
        CheckpointError: it does not run, or gives something else than logits.
    """
    logits = _run(classifier, _encodings(classifier)[:1])
    if logits.dim() != 2:
        raise CheckpointError(
            f"the model gives one text logits of shape {tuple(logits.shape[1:])}, not a row of them"
        )
    return logits.shape[1]


def _encodings(classifier: Classifier) -> list[Encoding]:
    return encode(classifier.tokenizer, [TEXT, OTHER], max_length=classifier.max_length)


def _run(classifier: Classifier, encodings: list[Encoding]) -> Tensor:
    try:
        cleans = clean_passes(classifier, encodings)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"the model does not run on a plain text: {reason}") from error
    return torch.stack([clean.logits for clean in cleans])


def at_layer(classifier: Classifier, name: str) -> Classifier:
    """Return the classifier with its noise at another layer."""
    name, layer = find_layer(classifier.module, name)
    return replace(classifier, embedding_name=name, embedding=layer)


def embeddings_block(classifier: Classifier) -> str | None:
    """Return the layer that sums token, position and type embeddings, or None.

    It is the innermost layer around the token embedding that gives a tensor [B, L, H].
    """
    for name in enclosing(classifier.embedding_name):
        candidate = at_layer(classifier, name)
        try:
            clean_passes(candidate, _encodings(classifier)[:1])
        except CheckpointError:
            continue
        return name
    return None


def sum_is_rounding(classifier: Classifier, *, objective: str) -> bool:
    """Say whether Σ_d ∂F/∂E_td vanishes for every token, as it does where a LayerNorm follows.

    LayerNorm takes the mean over d away from its input, so nothing behind it can depend on that
    mean, and the gradient has no part along it.
    """
    clean = clean_passes(classifier, _encodings(classifier)[:1])
    still = torch.zeros(1, *clean[0].embedding.shape)
    gradients = gradient_passes(classifier, [(clean[0], 1)], still, objective=objective)
    gradient = gradients.values[0].double()
    return bool((gradient.sum(dim=-1).abs() < ROUNDING * gradient.abs().sum(dim=-1)).all())


def check_sum(classifier: Classifier, *, objective: str) -> None:
    """See that the `sum` reduction means something at the chosen layer.

    Raises:
        UsageError: it does not; the layer at which it does is named, where there is one.
    """
    if not sum_is_rounding(classifier, objective=objective):
        return
    hint = "take --reduction l2 or dot"
    block = embeddings_block(classifier)
    if block and not sum_is_rounding(at_layer(classifier, block), objective=objective):
        hint = f"add --embedding-layer {block}, or {hint}"
    raise UsageError(
        f"--reduction sum is nothing but rounding at {classifier.embedding_name}: "
        "a normalisation behind it takes the sum over the dimensions away",
        hint,
    )
