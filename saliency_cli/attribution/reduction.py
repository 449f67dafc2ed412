"""Gradients [L, H] -> one score a token, normalised, and how far it may be off.

A text of L tokens and H dimensions; K independent draws of its gradient. What follows the reduction
runs in float64, for the small differences of the jackknife.
"""

from collections.abc import Callable

import torch
from torch import Tensor

PRIOR = 4
"""Draws that the other tokens of a text are worth to the error of each."""

Reduction = Callable[[Tensor, Tensor], Tensor]


def l2(gradient: Tensor, _embedding: Tensor) -> Tensor:
    """Return ‖G_t‖₂ for gradients [..., L, H]: how far a token can move the target."""
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=-1)
    return norms.double()


def dot(gradient: Tensor, embedding: Tensor) -> Tensor:
    """Return G_t·E_t, signed: positive where the token speaks for the target."""
    products: Tensor = torch.linalg.vecdot(gradient, embedding)
    return products.double()


def absolute_sum(gradient: Tensor, _embedding: Tensor) -> Tensor:
    """Return |Σ_d G_td|, as AllenNLP Interpret reduces."""
    return gradient.sum(dim=-1, dtype=torch.float64).abs()


REDUCTIONS: dict[str, Reduction] = {"l2": l2, "dot": dot, "sum": absolute_sum}


def normalised(raw: Tensor) -> Tensor:
    """Divide scores [..., L] by Σ|s|, so that they are shares; all zero stays all zero.

    Where one is not finite, neither is the outcome.
    """
    total = raw.abs().sum(dim=-1, keepdim=True)
    return torch.where(total == 0, torch.zeros_like(raw), raw / total)


def standard_errors(leave_one_out: Tensor, found: Tensor) -> Tensor:
    """Return the standard error of scores [..., L], from the scores [..., K, L] without one draw.

    The variance is the delete-one jackknife's (Efron, "The jackknife, the bootstrap and other
    resampling plans", 1982, eq. 3.8). Few draws tell little of it, so each token's is drawn towards
    what the text's other tokens have, as if that had been seen in four draws more (the moderated
    variance of Smyth, "Linear models and empirical Bayes methods", 2004): larger scores are less
    certain, about in proportion. Student's factor widens the rest, so that one standard error
    covers what it covers of a normal distribution.
    """
    freedom = leave_one_out.shape[-2] - 1
    variance = freedom * leave_one_out.var(dim=-2, correction=0)
    size = sizes(found) ** 2
    expected = size * torch.nan_to_num(variance / size).mean(dim=-1, keepdim=True)
    moderated = (freedom * variance + PRIOR * expected) / (freedom + PRIOR)
    return small_sample_factor(freedom + PRIOR) * moderated.sqrt()


def sizes(found: Tensor) -> Tensor:
    """Return what errors of scores [..., L] are about in proportion to: |s| and the text's mean."""
    return found.abs() + found.abs().mean(dim=-1, keepdim=True)


def with_rounding(errors: Tensor | None, found: Tensor, *, share: float) -> Tensor | None:
    """Return errors [..., L] with what a number format moves scores by, a share of their sizes."""
    if errors is None or share == 0:
        return errors
    return (errors**2 + (share * sizes(found)) ** 2).sqrt()


def small_sample_factor(freedom: int) -> float:
    """Return Student's t at the level of one normal σ, for `freedom` degrees of freedom.

    The expansion of Abramowitz & Stegun 26.7.5 at x = 1; 1.3 % low at one degree, the worst.
    """
    return 1 + 1 / (2 * freedom) + 1 / (4 * freedom**2) + 1 / (16 * freedom**3)
