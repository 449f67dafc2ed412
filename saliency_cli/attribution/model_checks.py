"""Small experiments on a loaded model, so that what it cannot do is known before the first row."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from saliency_cli.attribution.methods.smoothgrad import smoothgrad
from saliency_cli.attribution.reduction import REDUCTIONS, normalised
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.embedding_layer import enclosing_layers, find_embedding_layer
from saliency_cli.model.heads import Target
from saliency_cli.model.passes import (
    CleanPass,
    PassRequest,
    clean_passes,
    embedding_output_shape,
    gradient_passes,
)
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Encoding
from saliency_cli.settings import Sampling

TEXT = "A few plain words."
TEXTS = (
    TEXT,
    "A second and longer text stands beside the first, so that the first is padded.",
)
MORE = (
    "The train to the coast leaves at nine, and nobody knows when it comes back.",
    "Please send the report to the office before noon, with all the figures of last week.",
)
_FAILURES = (AttributeError, IndexError, RuntimeError, TypeError, ValueError)
"""What a module may raise on inputs that it does not take."""
_FIRST = Target("the first label", 0)
PADDING_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
AVERAGED = 4
"""Antithetic pairs behind plain scores: what each pass adds by itself is then about a third."""
ROUNDING = 1e-3
"""|Σ_d G| as a share of ‖G‖₁ below which the sum over the dimensions is nothing but rounding."""
FAR_BELOW = 0.05
"""|G·E| as a share of what two unrelated vectors have, ‖G‖‖E‖/√H, below which they are
perpendicular on purpose, if they are so at every token."""


def deterministic(classifier: Classifier) -> bool:
    """Say whether torch has kernels for a pass, and for its way back, that do not heed timing."""
    try:
        (clean,) = clean_passes(classifier, _encodings(classifier)[:1])
        _gradient(classifier, clean, objective="logit")
    except _FAILURES as error:  # any other one is told by who probes next
        return "deterministic" not in str(error)
    return True


def probe(classifier: Classifier) -> Classifier:
    """Run the model on plain texts, and return it with what was found about layout and padding.

    Raises:
        CheckpointError: it does not run, or not as a classifier with such an embedding layer.
    """
    short, long = _encodings(classifier)
    with _running():
        shape = embedding_output_shape(classifier, short)
    classifier = replace(classifier, tokens_first=shape[:2] == (len(short), 1))
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


def _encodings(classifier: Classifier, texts: Sequence[str] = TEXTS) -> list[Encoding]:
    return encode(classifier.tokenizer, texts, max_length=classifier.max_length)


def _run(classifier: Classifier, encodings: list[Encoding]) -> Tensor:
    with _running():
        cleans = clean_passes(classifier, encodings)
    return torch.stack([clean.logits for clean in cleans])


@contextmanager
def _running() -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"the model does not run on a plain text: {reason}") from error


def width(classifier: Classifier) -> int:
    """Return H, the dimensions of the embedding."""
    (clean,) = clean_passes(classifier, _encodings(classifier)[:1])
    return clean.embedding.shape[-1]


def plain_scores(classifier: Classifier) -> list[Tensor]:
    """Return the `l2` scores of a few plain texts, one by one, each from the mean of some passes.

    Between two number formats they differ by what rounding does to all passes alike. What it does
    to each is a part of the differences between draws, which the errors tell by themselves.
    """
    return [
        normalised(REDUCTIONS["l2"](_mean_gradient(classifier, clean), clean.embedding))
        for encoding in _encodings(classifier, (*TEXTS, *MORE))
        for clean in clean_passes(classifier, [encoding])
    ]


def _mean_gradient(classifier: Classifier, clean: CleanPass) -> Tensor:
    draws = range(AVERAGED)
    noise = smoothgrad([clean] * len(draws), draws, Sampling())
    aim = PassRequest(clean, _FIRST, len(draws))
    return gradient_passes(
        classifier, [aim], noise, objective="logit", antithetic=True
    ).values.mean(dim=0)


def _gradient(classifier: Classifier, clean: CleanPass, *, objective: str) -> Tensor:
    still = torch.zeros(1, *clean.embedding.shape)
    aim = PassRequest(clean, _FIRST, 1)
    return gradient_passes(classifier, [aim], still, objective=objective).values[0]


def at_layer(classifier: Classifier, name: str) -> Classifier:
    """Return the classifier with its noise at another layer."""
    name, layer = find_embedding_layer(classifier.module, name)
    return replace(classifier, embedding_name=name, embedding=layer)


def embeddings_block(classifier: Classifier) -> str | None:
    """Return the layer that sums token, position and type embeddings, or None.

    It is the innermost layer around the token embedding that gives a tensor [B, L, H].
    """
    for name in enclosing_layers(classifier.embedding_name):
        candidate = at_layer(classifier, name)
        try:
            clean_passes(candidate, _encodings(classifier)[:1])
        except CheckpointError:
            continue
        return name
    return None


@dataclass(frozen=True, slots=True)
class _Degeneracy:
    """When a reduction of gradients [L, H] at embeddings [L, H] says nothing, and why."""

    holds: Callable[[Tensor, Tensor], bool]
    why: str
    others: str


def _sums_vanish(gradient: Tensor, _embedding: Tensor) -> bool:
    return bool((gradient.sum(dim=-1).abs() < ROUNDING * gradient.abs().sum(dim=-1)).all())


def _is_perpendicular(gradient: Tensor, embedding: Tensor) -> bool:
    products = torch.linalg.vecdot(gradient, embedding).abs()
    lengths = torch.linalg.vector_norm(gradient, dim=-1) * embedding.norm(dim=-1)
    return bool((products < FAR_BELOW * lengths / embedding.shape[-1] ** 0.5).all())


# LayerNorm takes the mean over d away from its input and divides by its length, so nothing behind
# it can depend on either. The gradient then has no part along the mean (Σ_d G vanishes) and, where
# the embedding itself is what goes in, none along the embedding (G·E vanishes).
_DEGENERACIES = {
    "sum": _Degeneracy(_sums_vanish, "takes the sum over the dimensions away", "l2 or dot"),
    "dot": _Degeneracy(_is_perpendicular, "takes the length of the embedding away", "l2"),
}


def is_rounding(classifier: Classifier, *, reduction: str, objective: str) -> bool:
    """Say whether a reduction vanishes for every token, as it may where a LayerNorm follows."""
    if reduction not in _DEGENERACIES:
        return False
    (clean,) = clean_passes(classifier, _encodings(classifier)[:1])
    gradient = _gradient(classifier, clean, objective=objective).double()
    embedding = clean.embedding.double()
    return _DEGENERACIES[reduction].holds(gradient, embedding)


def check_reduction(classifier: Classifier, *, reduction: str, objective: str) -> None:
    """See that the reduction means something at the chosen layer.

    Raises:
        UsageError: it does not; the layer at which it does is named, where there is one.
    """
    if not is_rounding(classifier, reduction=reduction, objective=objective):
        return
    found = _DEGENERACIES[reduction]
    hint = f"take --reduction {found.others}"
    block = embeddings_block(classifier)
    if block and not is_rounding(
        at_layer(classifier, block), reduction=reduction, objective=objective
    ):
        hint = f"add --embedding-layer {block}, or {hint}"
    raise UsageError(
        f"--reduction {reduction} is nothing but rounding at {classifier.embedding_name}: "
        f"a normalisation behind it {found.why}",
        hint,
    )
