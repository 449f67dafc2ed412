"""Spearman's rank correlation."""

from torch import Tensor


def rank_correlations(values: Tensor) -> Tensor:
    """Return the rank correlation of each two rows, [M, M]; NaN where one has equal values alone.

    Args:
        values: What is ranked, [M, L].
    """
    ranks = _ranks(values)
    centred = ranks - ranks.mean(dim=1, keepdim=True)
    squares = centred.square().sum(dim=1)
    return (centred @ centred.T) / (squares[:, None] * squares).sqrt()


def _ranks(values: Tensor) -> Tensor:
    """Return the rank of each value of a row; equal values have the mean of their ranks."""
    below = (values[:, :, None] > values[:, None]).sum(dim=2)
    equal = (values[:, :, None] == values[:, None]).sum(dim=2)
    return (below + (equal - 1) / 2).double()
