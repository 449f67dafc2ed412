"""The windows of a long text, merged: one score a token over the whole text."""

from collections.abc import Sequence

import torch
from torch import Tensor

from saliency_cli.attribution.reduction import normalised, standard_errors
from saliency_cli.records import Encoded


def merge(encoded: Encoded, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Return the scores [L] of the whole text and their standard errors [L], or None without.

    A token in several windows has the mean of its raw scores; those of special tokens are added.
    Windows are independent, so the jackknife leaves out one draw of one window at a time, and the
    variances add up.

    Args:
        encoded: The text and its windows.
        parts: For each window its raw scores [1 + K, Lw]: of all draws, then without each of K.
    """
    weights = _token_weights(encoded)
    positions = [torch.tensor(window.positions) for window in encoded.windows]
    total = torch.zeros(len(encoded.whole), dtype=torch.float64)
    for part, weight, position in zip(parts, weights, positions, strict=True):
        total.index_add_(0, position, part[0] * weight)
    if min(map(len, parts)) == 1:
        return normalised(total), None
    variance = torch.zeros_like(total)
    for part, weight, position in zip(parts, weights, positions, strict=True):
        without = total.repeat(len(part) - 1, 1)
        without.index_add_(1, position, (part[1:] - part[:1]) * weight)
        variance += standard_errors(normalised(without), normalised(total)) ** 2
    return normalised(total), variance.sqrt()


def _token_weights(encoded: Encoded) -> list[Tensor]:
    """Return the weight [Lw] of each window's tokens: 1 if special, else 1 / windows with it."""
    count = torch.zeros(len(encoded.whole), dtype=torch.float64)
    for window in encoded.windows:
        count[list(window.positions)] += 1
    count[torch.tensor(encoded.whole.special)] = 1
    return [1 / count[list(window.positions)] for window in encoded.windows]
