"""Gradients to one score a token, normalised, with standard errors.

Shapes: L tokens, H dimensions of the embedding, K independent draws (or blocks of draws). All that
follows the reduction is computed in float64, for the small differences of the jackknife.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from saliency_cli.attribution.maths import Maths

Factors: TypeAlias = Callable[[], Tensor]
"""Builds what `dot` multiplies with, which takes as long as a reduction that has no use for it."""

PRIOR = 4
"""Weight of a text's other tokens in the variance of each, in draws."""


def whole_gradient(gradient: Tensor, _factors: Factors) -> Tensor:
    """Return gradients [..., L, H] unchanged."""
    return gradient


def l2(gradient: Tensor) -> Tensor:
    """Return ‖G_t‖₂ of gradients [..., L, H]: how strongly F depends on a token, without a sign."""
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=-1)
    return norms.double()


def dot(gradient: Tensor, factors: Factors) -> Tensor:
    """Return G_t·X_t, [..., L, 1]: positive where the token raises F, to first order.

    Args:
        gradient: Gradients [..., L, H].
        factors: Returns X, the embeddings E or the difference E − B to a baseline, [..., L, H].
    """
    products: Tensor = torch.linalg.vecdot(gradient, factors())
    return products.double()[..., None]


def signed_sum(gradient: Tensor, _factors: Factors) -> Tensor:
    """Return Σ_d G_td, [..., L, 1], of gradients [..., L, H]."""
    return gradient.sum(dim=-1, keepdim=True, dtype=torch.float64)


def one_number(sums: Tensor) -> Tensor:
    """Return the only number of each token, [..., L], of sums [..., L, 1]."""
    return sums.squeeze(-1)


def size(sums: Tensor) -> Tensor:
    """Return the absolute value of each token's number, [..., L], of sums [..., L, 1]."""
    return sums.squeeze(-1).abs()


@dataclass(frozen=True, slots=True)
class Reduction:
    """How gradients become one number a token.

    What is linear in the gradient is applied to each draw, so that one number a token is added up
    and kept. ‖G‖ is not linear: it needs the mean gradient.

    Attributes:
        contribution: From gradients [..., L, H] and a function that returns the factors of `dot`,
            [..., L, H], to what is averaged over the draws, [..., L, W].
        score: From such means [..., L, W] to raw scores [..., L].
        is_signed: Whether a score's sign says for or against the target.
        is_linear: Whether a draw contributes one number a token, W = 1.
    """

    contribution: Callable[[Tensor, Factors], Tensor]
    score: Callable[[Tensor], Tensor]
    is_signed: bool = False
    is_linear: bool = True


REDUCTIONS: dict[str, Reduction] = {
    "l2": Reduction(whole_gradient, l2, is_linear=False),
    "dot": Reduction(dot, one_number, is_signed=True),
    "abs-dot": Reduction(dot, size),  # |G·E|, as AllenNLP Interpret's other two methods have it
    "sum": Reduction(signed_sum, size),  # |Σ_d G_td|, as AllenNLP Interpret reduces gradients
}
"""By the name that `--reduction` takes."""


def is_signed(maths: Maths) -> bool:
    """Return whether the scores of a run have a sign; the one place that decides it."""
    if maths.reduction is None:
        return maths.method.is_signed
    return REDUCTIONS[maths.reduction].is_signed


def promises_completeness(maths: Maths) -> bool:
    """Return whether raw scores add up to F(x) − F(B), up to the method's own approximation."""
    plain = maths.propagation != "conservative"
    return maths.method.is_complete and maths.reduction in {None, "dot"} and plain


def normalised(raw: Tensor) -> Tensor:
    """Return raw scores [..., L] divided by Σ|s|; all zero stays all zero.

    Where one of them is not finite, neither is the result.
    """
    total = raw.abs().sum(dim=-1, keepdim=True)
    return torch.where(total == 0, torch.zeros_like(raw), raw / total)


def standard_errors(
    leave_one_out: Tensor, scores: Tensor, *, lengths: Tensor | None = None
) -> Tensor:
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
        lengths: The number of tokens of each text, [...]; after it all scores are 0. None where no
            text has padding.
    """
    freedom = leave_one_out.shape[-2] - 1
    variance = freedom * leave_one_out.var(dim=-2, correction=0)
    size = sizes(scores, lengths=lengths) ** 2
    expected = size * _mean_over_tokens(torch.nan_to_num(variance / size), lengths)
    moderated = (freedom * variance + PRIOR * expected) / (freedom + PRIOR)
    errors = small_sample_factor(freedom + PRIOR) * moderated.sqrt()
    # A token that no draw gives a score, as special tokens of perturbed texts, has no error either.
    return errors.masked_fill((leave_one_out == 0).all(dim=-2) & (scores == 0), 0)


def sizes(scores: Tensor, *, lengths: Tensor | None = None) -> Tensor:
    """Return |s| plus the text's mean |s|, [..., L]: errors are about proportional to it.

    Args:
        scores: Scores [..., L].
        lengths: See `standard_errors`.
    """
    return scores.abs() + _mean_over_tokens(scores.abs(), lengths)


def _mean_over_tokens(values: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the mean [..., 1] of values [..., L] that are 0 after the end of a text."""
    if lengths is None:
        return values.mean(dim=-1, keepdim=True)
    return values.sum(dim=-1, keepdim=True) / lengths[..., None]


def with_dtype_error(
    errors: Tensor | None, scores: Tensor, *, share: float, lengths: Tensor | None = None
) -> Tensor | None:
    """Return errors [..., L] with the error of the number format added in quadrature.

    Args:
        errors: Standard errors of the draws, or None without an estimate.
        scores: Normalised scores, [..., L].
        share: What the number format moves scores by, as a share of their sizes.
        lengths: See `standard_errors`.
    """
    if errors is None or share == 0:
        return errors
    return (errors**2 + (share * sizes(scores, lengths=lengths)) ** 2).sqrt()


def small_sample_factor(freedom: int) -> float:
    """Return Student's t at the level of one normal σ, for `freedom` degrees of freedom.

    The expansion of Abramowitz & Stegun 26.7.5 at x = 1; 1.3 % low at one degree, the worst.
    """
    return 1 + 1 / (2 * freedom) + 1 / (4 * freedom**2) + 1 / (16 * freedom**3)
