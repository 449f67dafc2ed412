"""How alike two orders of a text's tokens are."""

from collections.abc import Sequence

import torch

from saliency_cli.analysis.rank_correlation import rank_correlations


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Spearman's rank correlation; 0 where one of them puts all tokens level.

    Args:
        first: One score a token.
        second: The scores that it is compared with.
    """
    values = torch.tensor([first, second], dtype=torch.float64)
    return float(rank_correlations(values)[0, 1].nan_to_num())


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
