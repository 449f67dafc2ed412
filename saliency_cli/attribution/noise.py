"""Keyed noise: it depends on the text, the draw and the seed, never on batch, neighbours or device.

The generator is counter-based: number n of a draw is a hash of the draw's key and n, so all
numbers of a batch are computed at once, and on whatever device the model is (Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", 2011). The hash is SplitMix64's (Steele et al., "Fast
splittable pseudorandom number generators", 2014), which passes BigCrush, at half the operations of
Philox. It is exact in int64, whose products wrap around; logarithm, square root, sine and cosine
may differ between devices in their last digit.
"""

from math import tau

import torch
from torch import Tensor

from saliency_cli.model.devices import to_device
from saliency_cli.model.token_batch import TokenBatch

GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
"""The odd number by which consecutive counters differ, as a signed integer."""
MULTIPLIERS = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))
SHIFTS = (30, 27, 31)
"""SplitMix64's constants."""


def mixed(values: Tensor) -> Tensor:
    """Return SplitMix64's hash of 64-bit integers, of any shape."""
    hashed = values + GAMMA
    for shift, multiplier in zip(SHIFTS, (*MULTIPLIERS, 1), strict=True):
        # A right shift of a signed integer repeats its sign, which the mask removes. In place: new
        # tensors of this size would cost more than the operations.
        hashed ^= (hashed >> shift).bitwise_and_((1 << 64 - shift) - 1)
        hashed *= multiplier
    return hashed


def text_keys(tokens: TokenBatch, *, seed: int) -> Tensor:
    """Return a 64-bit key of each text's token ids and the seed, [B].

    Args:
        tokens: The texts.
        seed: The run's seed.
    """
    places = torch.arange(tokens.longest, device=tokens.ids.device)
    # The hash of the place makes the sum depend on the order of the tokens.
    hashes = mixed(tokens.ids ^ mixed(places))
    return mixed((hashes * tokens.mask()).sum(dim=1) ^ mixed(torch.tensor(seed)).item())


def keyed_normal(tokens: TokenBatch, draws: Tensor, *, seed: int, width: int) -> Tensor:
    """Return standard normal noise ε [D, L, H] in float32, on the device of the tokens.

    Args:
        tokens: The text of each of D draws.
        draws: The number of each draw within its text, [D], on the CPU.
        seed: The run's seed.
        width: H, the dimensions of the embedding.
    """
    pairs = -(-width // 2)
    bits = keyed_bits(tokens, draws, seed=seed, count=tokens.longest * pairs)
    return _normal_pairs(bits.view(len(draws), tokens.longest, pairs))[..., :width]


def keyed_bits(tokens: TokenBatch, draws: Tensor, *, seed: int, count: int) -> Tensor:
    """Return random 64-bit integers [D, count], on the device of the tokens.

    The first numbers of a draw are the same whatever the count.

    Args:
        tokens: The text of each of D draws.
        draws: The number of each draw within its text, [D], on the CPU.
        seed: The run's seed.
        count: Integers of a draw.
    """
    device = tokens.ids.device
    keys = mixed(text_keys(tokens, seed=seed) ^ mixed(to_device(draws, device)))
    return mixed(keys[:, None] + torch.arange(count, device=device) * GAMMA)


def keyed_ranks(tokens: TokenBatch, draws: Tensor, counts: Tensor, *, seed: int) -> Tensor:
    """Return a random order of things for each draw: the rank of each, [D, N], from 0 on.

    Args:
        tokens: The text of each of D draws.
        draws: The number of each draw within its text, [D], on the CPU.
        counts: How many things each draw orders, [D], on the device; what is after them, up to the
            largest count N, has no meaning.
        seed: The run's seed.
    """
    most = int(counts.max())
    bits = keyed_bits(tokens, draws, seed=seed, count=most)
    after = torch.arange(most, device=bits.device) >= counts[:, None]
    order = bits.masked_fill(after, torch.iinfo(torch.int64).max).argsort(dim=1, stable=True)
    return order.argsort(dim=1)


def _normal_pairs(bits: Tensor) -> Tensor:
    """Return two independent normal numbers for each 64 bits, [..., 2 N] (Box and Muller, 1958)."""
    halves = bits.view(torch.int32).view(*bits.shape, 2).float()
    angle = halves[..., 0] * (tau / 2**32)
    # float32 rounds the smallest numbers to 0, whose logarithm is infinite.
    uniform = (halves[..., 1] * 2**-32).add_(0.5).clamp_(min=2**-26)
    radius = uniform.log_().mul_(-2).sqrt_()
    return torch.cat((angle.cos().mul_(radius), angle.sin().mul_(radius)), dim=-1)
