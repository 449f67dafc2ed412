"""The scores of parts: normalised, with standard errors and whether these are within the tolerance.

Shapes: M parts, K blocks of draws, L tokens of the longest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.parts import Parts, reduction_of
from saliency_cli.attribution.reduction import (
    normalised,
    promises_completeness,
    standard_errors,
    with_dtype_error,
)
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.objectives import objective_values


@dataclass(frozen=True, slots=True)
class Scores:
    """What the draws of M parts add up to, in float64 on the CPU; 0 after the end of a text.

    Attributes:
        raw: Raw scores [M, 1 + K, L]: of all draws and, with several blocks, without each of them.
        shares: Normalised scores [M, L].
        errors: Their standard errors [M, L], or None without an estimate.
        converged: Whether the errors are within the tolerance, [M].
        completeness: The sum of the raw scores and F(x) − F(B), [M, 2], of a method that promises
            that they are equal.
    """

    raw: Tensor
    shares: Tensor
    errors: Tensor | None
    converged: Tensor
    completeness: Tensor | None = None


def mean_contributions(parts: Parts) -> Tensor:
    """Return means [M, 1 + K, L, W] of what the draws contribute.

    The first is over all draws, the others over all draws but those of one of the K blocks; with a
    single block there is only the first.
    """
    sums, made = parts.sums, parts.made
    assert sums is not None  # noqa: S101 - scores are asked for after draws were made
    total, count = sums.sum(dim=1, keepdim=True), sums.shape[1]
    if count == 1:
        return total / made
    rest = [made - len(range(number, made, count)) for number in range(count)]
    others = (total - sums) / torch.tensor(rest, device=sums.device)[:, None, None]
    return torch.cat((total / made, others), dim=1)


def compute_scores(parts: Parts, maths: Maths, classifier: Classifier) -> Scores:
    """Return the scores of all parts of a batch from their draws so far.

    Args:
        parts: The parts, with draws.
        maths: What is computed.
        classifier: The model: its head, and what its number format moves scores by.
    """
    method, lengths = maths.method, parts.lengths
    means = mean_contributions(parts)
    raw = method.raw_scores(means, reduction_of(maths), draws=parts.made).cpu()
    padding = torch.arange(raw.shape[-1]) >= lengths[:, None]
    raw = raw.masked_fill(padding[:, None], 0)
    normal = normalised(raw)
    shares, without = normal[:, 0], normal[:, 1:]
    errors = standard_errors(without, shares, lengths=lengths) if without.shape[1] > 1 else None
    converged = torch.ones(len(parts), dtype=torch.bool)
    if errors is not None and method.tolerance_for_auto is not None:
        largest = shares.abs().amax(dim=-1)
        highest = errors.masked_fill(padding, 0).amax(dim=-1)
        converged = highest <= method.tolerance_for_auto * largest
    errors = with_dtype_error(errors, shares, share=classifier.dtype_error, lengths=lengths)
    return Scores(raw, shares, errors, converged, _completeness(parts, raw, maths, classifier))


def _completeness(parts: Parts, raw: Tensor, maths: Maths, classifier: Classifier) -> Tensor | None:
    """Return the sum of the raw scores and F(x) − F(B), [M, 2], or None without that promise."""
    baseline = parts.clean.baseline_logits
    if baseline is None or not promises_completeness(maths):
        return None
    clean, without = (
        objective_values(
            logits[parts.windows].double(),
            parts.targets,
            objective=maths.objective,
            head=classifier.head,
        )
        for logits in (parts.clean.logits, baseline)
    )
    return torch.stack((raw[:, 0].sum(dim=-1), clean - without), dim=1)
