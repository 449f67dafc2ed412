"""Gradients [L, H] -> one score a token, normalised, and how far it may be off.

A text of L tokens and H dimensions; K independent draws of its gradient. What follows the reduction
runs in float64, for the small differences of the jackknife.
"""

from collections.abc import Callable

import torch
from torch import Tensor

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
    """Divide scores [..., L] by Σ|s|, so that they are shares; all zero stays all zero."""
    total = raw.abs().sum(dim=-1, keepdim=True)
    return torch.where(total > 0, raw / total, torch.zeros_like(raw))


def standard_errors(leave_one_out: Tensor) -> Tensor:
    """Return the standard error [L] of scores, from the K scores [K, L] that lack one draw each.

    The delete-one jackknife (Efron, "The jackknife, the bootstrap and other resampling plans",
    1982, eq. 3.8), widened so that one standard error covers what it covers of a normal
    distribution although the spread itself is estimated from few draws.
    """
    count = len(leave_one_out)
    spread = leave_one_out.var(dim=0, correction=0)
    return small_sample_factor(count - 1) * ((count - 1) * spread).sqrt()


def small_sample_factor(freedom: int) -> float:
    """Return Student's t at the level of one normal σ, for `freedom` degrees of freedom.

    The expansion of Abramowitz & Stegun 26.7.5 at x = 1; 1.3 % low at one degree, the worst.
    """
    return 1 + 1 / (2 * freedom) + 1 / (4 * freedom**2) + 1 / (16 * freedom**3)
