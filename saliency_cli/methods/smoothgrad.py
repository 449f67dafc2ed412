"""SmoothGrad on a text: the gradient, averaged over Gaussian noise on the token embeddings."""

from torch import Tensor

from saliency_cli.noise import keyed_normal
from saliency_cli.passes import Clean
from saliency_cli.settings import Sampling


def smoothgrad(text: Clean, draw: int, sampling: Sampling) -> Tensor:
    """Return z [L, H] = S · (max E − min E) · ε, with ε keyed by seed, token ids and `draw`.

    The range is that of this text's own real tokens, so neighbours in a batch change nothing
    (Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, section 3; the scale by
    range is AllenNLP Interpret's).
    """
    width = text.embedding.shape[-1]
    noise = keyed_normal(text.encoding.ids, seed=sampling.seed, draw=draw, width=width)
    return noise.mul_(sampling.noise * text.spread)
