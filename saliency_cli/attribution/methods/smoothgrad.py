"""SmoothGrad on a text: the gradient, averaged over Gaussian noise on the token embeddings."""

from collections.abc import Sequence

import torch
from torch import Tensor

from saliency_cli.attribution.noise import keyed_normal
from saliency_cli.model.devices import to_device
from saliency_cli.model.passes import CleanPass
from saliency_cli.settings import Sampling


def smoothgrad(texts: Sequence[CleanPass], draws: Sequence[int], sampling: Sampling) -> Tensor:
    """Return z [D, L, H] = S · (max E − min E) · ε, with ε keyed by seed, token ids and draw.

    The range is that of each text's own real tokens, so neighbours in a batch change nothing
    (Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, section 3; the scale by
    range is AllenNLP Interpret's).
    """
    ids, embedding = [text.encoding.ids for text in texts], texts[0].embedding
    noise = keyed_normal(
        ids, draws, seed=sampling.seed, width=embedding.shape[-1], pinned=embedding.is_cuda
    )
    scale = sampling.noise * torch.tensor([text.spread for text in texts])
    return to_device(noise, embedding.device).mul_(
        to_device(scale, embedding.device)[:, None, None]
    )
