"""Attribution methods: each says where, around a text's embedding, its gradients are taken.

A method is a function of texts, with their clean embeddings E, and of the number of a draw for
each; it returns the displacements z [D, L, H] of those draws, zero behind the end of each text. The
engine averages ∂F/∂E over the points E + z (and E − z, for antithetic draws). Another method is one
more entry here.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from saliency_cli.attribution.methods.smoothgrad import smoothgrad
from saliency_cli.model.passes import CleanPass
from saliency_cli.settings import Sampling

Method = Callable[[Sequence[CleanPass], Sequence[int], Sampling], Tensor]

METHODS: dict[str, Method] = {"smoothgrad": smoothgrad}
