"""Keyed noise: it depends on the text, the draw and the seed, never on batch or neighbours."""

import hashlib
from array import array
from collections.abc import Sequence

import torch
from torch import Tensor


def keyed_normal(
    texts: Sequence[Sequence[int]],
    draws: Sequence[int],
    *,
    seed: int,
    width: int,
    pinned: bool = False,
) -> Tensor:
    """Return standard normal noise ε [D, L, H] in float32, zero after the end of each text.

    Each of the D draws has a generator of its own, seeded by a hash of seed, draw and token ids.
    Generators run on the CPU whatever the model runs on, so a device changes no number.

    Args:
        texts: The token ids of each draw's text, D in all.
        draws: The number of each draw within its text, D in all.
        seed: The run's seed.
        width: H, the dimensions of the embedding.
        pinned: Whether the memory is pinned, from which a GPU copies while the CPU goes on.
    """
    noise = torch.zeros(len(texts), max(map(len, texts)), width, pin_memory=pinned)
    generator = torch.Generator()
    for ids, draw, place in zip(texts, draws, noise, strict=True):
        content = array("q", (seed, draw, *ids)).tobytes()
        key = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
        place[: len(ids)].normal_(generator=generator.manual_seed(key))
    return noise
