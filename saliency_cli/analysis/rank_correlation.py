"""Spearman's rank correlation."""

import torch
from torch import Tensor


def rank_correlations(values: Tensor) -> Tensor:
    """Return the rank correlation of each two rows, [M, M]; NaN where one has equal values alone.

    Args:
        values: What is ranked, [M, L].
    """
    ranks = torch.stack([_ranks(row) for row in values])
    centred = ranks - ranks.mean(dim=1, keepdim=True)
    squares = centred.square().sum(dim=1)
    return (centred @ centred.T) / (squares[:, None] * squares).sqrt()


def _ranks(values: Tensor) -> Tensor:
    """Return the rank of each value; equal values have the mean of their ranks."""
    _, inverse, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ranks: Tensor = counts.cumsum(0) - (counts - 1) / 2
    return ranks.double()[inverse]
