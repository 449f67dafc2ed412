"""The mean of squared gradients over noise (Hooker et al., 2019)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.noisy_squares import NoisySquares

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.reduction import Factors, Reduction


@dataclass(frozen=True, slots=True)
class SmoothGradSquared(NoisySquares):
    """Σ_d mean (∂F/∂E_td)² at E + z ("A benchmark for interpretability methods", section 3)."""

    name: ClassVar[str] = "smoothgrad-squared"
    title: ClassVar[str] = "SmoothGrad-Squared"

    def contributions(
        self,
        values: "Tensor",
        factors: "Factors",  # noqa: ARG002
        reduction: "Reduction | None",  # noqa: ARG002
    ) -> "Tensor":
        """Return the sum of the squares of each token's gradient, [D, L, 1], in float64.

        Args:
            values: The gradients [D, L, H].
            factors: Of no meaning without a reduction.
            reduction: None.
        """
        return values.double().square().sum(dim=-1, keepdim=True)
