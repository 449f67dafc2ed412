"""How alike two orders of a text's tokens are."""

from collections.abc import Sequence

import torch
from torch import Tensor


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's rank correlation; 0 where one of them puts all tokens level.

    Args:
        first: One score a token.
        second: The scores that it is compared with.
    """
    ranks = torch.stack([_ranks(first), _ranks(second)])
    centred = ranks - ranks.mean(dim=1, keepdim=True)
    scale = centred.square().sum(dim=1).prod().sqrt()
    return float((centred[0] * centred[1]).sum() / scale) if scale > 0 else 0.0


def _ranks(scores: Sequence[float]) -> Tensor:
    """Return the rank of each score; equal ones share the mean of their ranks."""
    values = torch.tensor(scores, dtype=torch.float64)
    below = (values[:, None] > values).sum(dim=1)
    equal = (values[:, None] == values).sum(dim=1)
    return (below + (equal - 1) / 2).double()


def overlap(first: Sequence[float], second: Sequence[float], *, most: int = 5) -> float:
    """Return the share of the first tokens of one order that are among the first of the other.

    Args:
        first: One score a token.
        second: The scores that it is compared with.
        most: How many tokens are the first ones, or all of a shorter text.
    """
    count = min(most, len(first))
    return len({*descending(first)[:count]} & {*descending(second)[:count]}) / count


def descending(scores: Sequence[float]) -> list[int]:
    """Return the places of scores, largest first; equal ones in the order of the text."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])
