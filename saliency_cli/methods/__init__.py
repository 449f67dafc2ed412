"""Attribution methods: each says where, around a text's embedding, its gradients are taken.

A method is a function of a text's clean embedding E and the number of a draw; it returns the
displacement z [L, H] of that draw. The engine averages ∂F/∂E over the points E + z (and E − z, for
antithetic draws). Another method is one more entry here.
"""

from collections.abc import Callable

from torch import Tensor

from saliency_cli.methods.smoothgrad import smoothgrad
from saliency_cli.passes import Clean
from saliency_cli.settings import Sampling

Method = Callable[[Clean, int, Sampling], Tensor]

METHODS: dict[str, Method] = {"smoothgrad": smoothgrad}
