"""Small experiments on a loaded model, which find what it cannot do before the first row."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from saliency_cli.attribution.draw_batch import DrawBatch
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.attribution.probe_texts import EXTRA_TEXTS, TEXTS
from saliency_cli.attribution.reduction import REDUCTIONS, normalised
from saliency_cli.attribution.rounds import prepared_passes
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.embedding_layer import enclosing_layers, find_embedding_layer
from saliency_cli.model.heads import Target, Targets
from saliency_cli.model.passes import (
    CleanPasses,
    clean_passes,
    embedding_output_shape,
    token_batch,
)
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Encoding, Row
from saliency_cli.safe_text import error_text
from saliency_cli.settings import ObjectiveName, ReductionName

_FIRST_LABEL = Target("the first label", 0)
PADDING_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""How far padding may move logits, as a share of the largest (or of 1 if that is larger),
before batches need equal lengths."""
AVERAGED_DRAWS = 4
"""Antithetic pairs behind `plain_scores`: of the error of a single pass about a third is left."""
NEGLIGIBLE_SUM = 1e-3
"""|Σ_d G| as a share of ‖G‖₁ below which the sum over the dimensions is rounding error."""
NEGLIGIBLE_PRODUCT = 0.05
"""|G·E| as a share of ‖G‖‖E‖/√H, the typical value of random vectors, below which a normalisation
has made them perpendicular, if it is so at every token."""


def has_deterministic_kernels(classifier: Classifier) -> bool:
    """Whether the model's forward and backward passes have deterministic kernels."""
    try:
        clean = _clean_passes(classifier, _encodings(classifier)[:1])
        _gradient(classifier, clean, objective="logit")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - `check_forward` reports another failure
        return "deterministic" not in str(error)
    return True


def check_forward(classifier: Classifier) -> Classifier:
    """Return the classifier with what a test run shows: its fields from `tokens_first` on.

    Raises:
        CheckpointError: It does not run, or not as a classifier with such an embedding layer.
    """
    short, long = _encodings(classifier)
    with _failures_as_checkpoint_errors("run"):
        shape = embedding_output_shape(classifier, short)
    classifier = replace(classifier, tokens_first=shape[:2] == (len(short), 1))
    alone = _logits(classifier, [short])
    expected = (1, len(classifier.labels))
    if alone.shape != expected:
        raise CheckpointError(
            f"the model gives logits of shape {tuple(alone.shape)}; its labels need {expected}"
        )
    if not bool(alone.isfinite().all()):
        raise CheckpointError("the model's logits are not finite: are its weights damaged?")
    beside = _logits(classifier, [short, long])[:1]
    moved = float((beside - alone).abs().max() / alone.abs().max().clamp(min=1))
    classifier = replace(classifier, padding_blind=moved <= PADDING_TOLERANCE[classifier.dtype])
    with _failures_as_checkpoint_errors("give a gradient"):
        _gradient(classifier, _clean_passes(classifier, [short]), objective="logit")
        repeats = _repeats(classifier, [short, long])
    deterministic = classifier.deterministic and repeats
    return replace(classifier, repeats=repeats, deterministic=deterministic)


def _repeats(classifier: Classifier, encodings: list[Encoding]) -> bool:
    """Whether two clean passes have the same logits and embeddings, bit for bit.

    They differ in a module that applies dropout, draws random numbers or counts its calls.
    """
    first, second = (_clean_passes(classifier, encodings) for _ in range(2))
    return torch.equal(first.logits, second.logits) and torch.equal(
        first.embeddings, second.embeddings
    )


def count_logits(classifier: Classifier) -> int:
    """Return how many logits the model gives, whatever its labels are.

    Raises:
        CheckpointError: It does not run, or gives something other than logits.
    """
    logits = _logits(classifier, _encodings(classifier)[:1])
    if logits.dim() != 2:
        raise CheckpointError(
            f"the model gives one text logits of shape {tuple(logits.shape[1:])}, not a row of them"
        )
    return logits.shape[1]


def _encodings(classifier: Classifier, texts: Sequence[str] = TEXTS) -> list[Encoding]:
    return encode(classifier.tokenizer, texts, max_length=classifier.max_length)


def _logits(classifier: Classifier, encodings: list[Encoding]) -> Tensor:
    """Return logits [B, C] of clean passes."""
    with _failures_as_checkpoint_errors("run"):
        return _clean_passes(classifier, encodings).logits


def _clean_passes(classifier: Classifier, encodings: Sequence[Encoding]) -> CleanPasses:
    return clean_passes(classifier, token_batch(encodings, classifier))


@contextmanager
def _failures_as_checkpoint_errors(what: str) -> Iterator[None]:
    """Raise what the module raises as a CheckpointError: it does not do `what` on a plain text."""
    try:
        yield
    except CheckpointError:
        raise
    except (Exception, SystemExit) as error:
        reason = error_text(error)
        raise CheckpointError(f"the model does not {what} on a plain text: {reason}") from error


def embedding_width(classifier: Classifier) -> int:
    """Return H, the dimensions of the embedding."""
    return _clean_passes(classifier, _encodings(classifier)[:1]).embeddings.shape[-1]


def plain_scores(classifier: Classifier, maths: Maths) -> list[Tensor]:
    """Return the scores [L] of a few plain texts, each from SmoothGrad's mean over some passes.

    Between two number formats they differ by what the format does to all passes alike. What it does
    to each pass by itself makes draws differ, and is in their standard errors already.

    Args:
        classifier: The model.
        maths: Its reduction is used.
    """
    reduction = REDUCTIONS[maths.reduction or "l2"]
    found = []
    for encoding in _encodings(classifier, (*TEXTS, *EXTRA_TEXTS)):
        clean = _clean_passes(classifier, [encoding])
        mean = _draws(classifier, clean, method=SmoothGrad(), count=AVERAGED_DRAWS).mean(dim=0)
        factors = partial(clean.factors.select, 0, 0)
        found.append(normalised(reduction.score(reduction.contribution(mean, factors))))
    return found


def _gradient(classifier: Classifier, clean: CleanPasses, *, objective: ObjectiveName) -> Tensor:
    """Return the plain gradient [L, H] of a text."""
    return _draws(classifier, clean, method=Gradient(), count=1, objective=objective)[0]


def _draws(
    classifier: Classifier,
    clean: CleanPasses,
    *,
    method: Method,
    count: int,
    objective: ObjectiveName = "logit",
) -> Tensor:
    """Return what the first draws of a text contribute, [count, L, H], for the first label."""
    targets = Targets.of([_FIRST_LABEL] * count)
    texts = torch.zeros(count, dtype=torch.long)
    batch = DrawBatch.of(clean, texts, targets, torch.arange(count))
    return method.evaluate(batch, classifier, objective=objective).values


def with_layer(classifier: Classifier, name: str) -> Classifier:
    """Return the classifier with another layer as its embedding.

    Args:
        classifier: The model.
        name: The layer's dotted name.
    """
    name, layer = find_embedding_layer(classifier.module, name)
    return replace(classifier, embedding_name=name, embedding=layer)


def embeddings_block(classifier: Classifier) -> str | None:
    """Return the name of the layer that sums token, position and type embeddings, or None.

    It is the innermost layer around the token embedding whose output is a tensor [B, L, H].
    """
    for name in enclosing_layers(classifier.embedding_name):
        candidate = with_layer(classifier, name)
        try:
            _clean_passes(candidate, _encodings(classifier)[:1])
        except CheckpointError:
            continue
        return name
    return None


@dataclass(frozen=True, slots=True)
class _Degeneracy:
    """When a reduction carries no information at a layer.

    Attributes:
        holds: Returns whether it is so, for a gradient [L, H] and factors [L, H].
        reason: What the normalisation after the layer removes.
        others: Reductions to use instead, for the hint.
    """

    holds: Callable[[Tensor, Tensor], bool]
    reason: str
    others: str


def _sum_vanishes(gradient: Tensor, _embedding: Tensor) -> bool:
    sums, sizes = gradient.sum(dim=-1).abs(), gradient.abs().sum(dim=-1)
    return bool((sums < NEGLIGIBLE_SUM * sizes).all())


def _is_perpendicular(gradient: Tensor, embedding: Tensor) -> bool:
    products = torch.linalg.vecdot(gradient, embedding).abs()
    lengths = torch.linalg.vector_norm(gradient, dim=-1) * embedding.norm(dim=-1)
    return bool((products < NEGLIGIBLE_PRODUCT * lengths / embedding.shape[-1] ** 0.5).all())


# LayerNorm subtracts the mean over d from its input and divides by its length, so no later layer
# can depend on either. The gradient then has no part along the mean (Σ_d G vanishes) and, where the
# embedding itself is the input, no part along the embedding (G·E vanishes).
_PERPENDICULAR = _Degeneracy(_is_perpendicular, "removes the length of the embedding", "l2")
_DEGENERACIES = {
    "sum": _Degeneracy(_sum_vanishes, "removes the sum over the dimensions", "l2 or dot"),
    "dot": _PERPENDICULAR,
    "abs-dot": _PERPENDICULAR,
}


def is_rounding(
    classifier: Classifier,
    *,
    reduction: ReductionName | None,
    objective: ObjectiveName,
    method: Method | None = None,
) -> bool:
    """Whether a reduction vanishes for every token, as it may where a LayerNorm follows.

    Args:
        classifier: The model.
        reduction: The reduction.
        objective: What F is.
        method: The method, which may have a baseline B: `dot` then multiplies with E − B.
    """
    if reduction not in _DEGENERACIES:
        return False
    windows = [(Row(0, 1, None, TEXTS[0]), _encodings(classifier)[0])]
    clean = prepared_passes(classifier, method or Gradient(), windows)
    gradient = _gradient(classifier, clean, objective=objective).double()
    return _DEGENERACIES[reduction].holds(gradient, clean.factors[0].double())


def check_reduction(classifier: Classifier, maths: Maths) -> None:
    """Check that a run's reduction carries information at the chosen layer.

    Args:
        classifier: The model.
        maths: What is computed.

    Raises:
        UsageError: It does not; the hint names a layer at which it does, where there is one.
    """
    reduction = maths.reduction
    vanishes = partial(
        is_rounding,
        reduction=reduction,
        objective=maths.objective,
        method=maths.method,
    )
    if reduction is None or not vanishes(classifier):
        return
    degeneracy = _DEGENERACIES[reduction]
    hint = f"take --reduction {degeneracy.others}"
    block = embeddings_block(classifier)
    if block and not vanishes(with_layer(classifier, block)):
        hint = f"add --embedding-layer {block}, or {hint}"
    raise UsageError(
        f"--reduction {reduction} is nothing but rounding at {classifier.embedding_name}: "
        f"a normalisation after it {degeneracy.reason}",
        hint,
    )
