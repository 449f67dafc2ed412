"""Keyed noise: what is drawn depends on the text and the seed, never on batch or neighbours."""

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
    """Draw ε [D, L, width], standard normal in float32, zero behind the end of each text.

    Each of the D draws, a text's token ids and the number of the draw, has a generator of its own,
    seeded by a hash of both and the seed. They run on the CPU whatever the model runs on, so a
    device changes no number; from `pinned` memory a device takes it while others go on.
    """
    noise = torch.zeros(len(texts), max(map(len, texts)), width, pin_memory=pinned)
    generator = torch.Generator()
    for ids, draw, place in zip(texts, draws, noise, strict=True):
        content = array("q", (seed, draw, *ids)).tobytes()
        key = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
        place[: len(ids)].normal_(generator=generator.manual_seed(key))
    return noise
