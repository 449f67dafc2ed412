"""Keyed noise: what is drawn depends on the text and the seed, never on batch or neighbours."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def keyed_normal(ids: Sequence[int], *, seed: int, draw: int, width: int) -> Tensor:
    """Draw ε [L, width], standard normal in float32, for a text of L token ids.

    A counter-based generator (Philox; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
    2011) takes its 128-bit key from a hash of the seed, the ids and the number of the draw.
    """
    content = np.asarray([seed, draw, *ids], dtype="<i8").tobytes()
    key = int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "little")
    generator = np.random.Generator(np.random.Philox(key=key))
    return torch.from_numpy(generator.standard_normal((len(ids), width), dtype=np.float32))
