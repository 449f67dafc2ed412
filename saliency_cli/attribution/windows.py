"""The windows of a long text, put together again: one score a token, over the whole text."""

from collections.abc import Sequence

import torch
from torch import Tensor

from saliency_cli.attribution.reduction import normalised, standard_errors
from saliency_cli.records import Encoded


def merge(encoded: Encoded, parts: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """Return the scores [L] of the whole text, and their errors, from raw ones of its windows.

    `parts` hold for each window the raw scores [1 + K, Lw]: of all its draws, then without one of
    the K each. A token in several windows has the mean of its raw scores; the special ones are
    added. Windows are independent, so the jackknife leaves out one draw of one window at a time,
    and the variances add up.
    """
    shares = _shares(encoded)
    positions = [torch.tensor(window.positions) for window in encoded.windows]
    total = torch.zeros(len(encoded.whole), dtype=torch.float64)
    for part, share, place in zip(parts, shares, positions, strict=True):
        total.index_add_(0, place, part[0] * share)
    if min(map(len, parts)) == 1:
        return normalised(total), None
    variance = torch.zeros_like(total)
    for part, share, place in zip(parts, shares, positions, strict=True):
        without = total.repeat(len(part) - 1, 1)
        without.index_add_(1, place, (part[1:] - part[:1]) * share)
        variance += standard_errors(normalised(without), normalised(total)) ** 2
    return normalised(total), variance.sqrt()


def _shares(encoded: Encoded) -> list[Tensor]:
    """Return what each token of each window counts: 1 if special, else 1 / the windows it is in."""
    held = torch.zeros(len(encoded.whole), dtype=torch.float64)
    for window in encoded.windows:
        held[list(window.positions)] += 1
    held[torch.tensor(encoded.whole.special)] = 1
    return [1 / held[list(window.positions)] for window in encoded.windows]
