"""Gradients to one score a token, normalised, with standard errors.

Shapes: L tokens, H dimensions of the embedding, K independent draws (or blocks of draws). All that
follows the reduction is computed in float64, for the small differences of the jackknife.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from saliency_cli.attribution.maths import Maths

PRIOR = 4
"""Weight of a text's other tokens in the variance of each, in draws."""


def l2(gradient: Tensor, _factor: Tensor) -> Tensor:
    """Return ‖G_t‖₂ of gradients [..., L, H]: how strongly F depends on a token, without a sign."""
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=-1)
    return norms.double()


def dot(gradient: Tensor, factor: Tensor) -> Tensor:
    """Return G_t·X_t: positive where the token raises F, to first order.

    Args:
        gradient: Gradients [..., L, H].
        factor: X, the embeddings E or the difference E − B to a baseline, [..., L, H].
    """
    products: Tensor = torch.linalg.vecdot(gradient, factor)
    return products.double()


def absolute_sum(gradient: Tensor, _factor: Tensor) -> Tensor:
    """Return |Σ_d G_td| of gradients [..., L, H], as AllenNLP Interpret reduces them."""
    return gradient.sum(dim=-1, dtype=torch.float64).abs()


@dataclass(frozen=True, slots=True)
class Reduction:
    """How gradients become one number a token.

    Attributes:
        apply: From gradients [..., L, H] and factors [..., L, H] to raw scores [..., L].
        is_signed: Whether a score's sign says for or against the target.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    is_signed: bool = False


REDUCTIONS: dict[str, Reduction] = {
    "l2": Reduction(l2),
    "dot": Reduction(dot, is_signed=True),
    "sum": Reduction(absolute_sum),
}
"""By the name that `--reduction` takes."""


def is_signed(maths: Maths) -> bool:
    """Return whether the scores of a run have a sign; the one place that decides it."""
    if maths.reduction is None:
        return maths.method.is_signed
    return REDUCTIONS[maths.reduction].is_signed


def normalised(raw: Tensor) -> Tensor:
    """Return raw scores [..., L] divided by Σ|s|; all zero stays all zero.

    Where one of them is not finite, neither is the result.
    """
    total = raw.abs().sum(dim=-1, keepdim=True)
    return torch.where(total == 0, torch.zeros_like(raw), raw / total)


def standard_errors(leave_one_out: Tensor, scores: Tensor) -> Tensor:
    """Return the standard error of each score, [..., L].

    The variance is the delete-one jackknife's (Efron, "The jackknife, the bootstrap and other
    resampling plans", 1982, eq. 3.8). Few draws estimate it poorly, so the variance of each token
    is moderated by that of the text's other tokens, with the weight of four draws (Smyth, "Linear
    models and empirical Bayes methods", 2004); errors are about proportional to the size of a
    score. Student's factor widens the result, so that one standard error covers what it covers of a
    normal distribution.

    Args:
        leave_one_out: Normalised scores without one draw, for each of K draws: [..., K, L].
        scores: Normalised scores of all draws, [..., L].
    """
    freedom = leave_one_out.shape[-2] - 1
    variance = freedom * leave_one_out.var(dim=-2, correction=0)
    size = sizes(scores) ** 2
    expected = size * torch.nan_to_num(variance / size).mean(dim=-1, keepdim=True)
    moderated = (freedom * variance + PRIOR * expected) / (freedom + PRIOR)
    return small_sample_factor(freedom + PRIOR) * moderated.sqrt()


def sizes(scores: Tensor) -> Tensor:
    """Return |s| plus the text's mean |s|, [..., L]: errors are about proportional to it."""
    return scores.abs() + scores.abs().mean(dim=-1, keepdim=True)


def with_dtype_error(errors: Tensor | None, scores: Tensor, *, share: float) -> Tensor | None:
    """Return errors [..., L] with the error of the number format added in quadrature.

    Args:
        errors: Standard errors of the draws, or None without an estimate.
        scores: Normalised scores, [..., L].
        share: What the number format moves scores by, as a share of their sizes.
    """
    if errors is None or share == 0:
        return errors
    return (errors**2 + (share * sizes(scores)) ** 2).sqrt()


def small_sample_factor(freedom: int) -> float:
    """Return Student's t at the level of one normal σ, for `freedom` degrees of freedom.

    The expansion of Abramowitz & Stegun 26.7.5 at x = 1; 1.3 % low at one degree, the worst.
    """
    return 1 + 1 / (2 * freedom) + 1 / (4 * freedom**2) + 1 / (16 * freedom**3)
