"""The variance of gradients over noise (Adebayo et al., 2018)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.noisy_squares import NoisySquares

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.reduction import Factors, Reduction


@dataclass(frozen=True, slots=True)
class VarGrad(NoisySquares):
    """Σ_d variance of ∂F/∂E_td at E + z ("Local explanation methods for deep neural networks …").

    The variance is that of the draws as they are (divided by their number), as Captum has it; of a
    text's shares the divisor changes nothing.
    """

    name: ClassVar[str] = "vargrad"
    title: ClassVar[str] = "VarGrad"

    def bytes_per_token(
        self,
        reduction: "Reduction | None",  # noqa: ARG002
        *,
        width: int,
        longest: int,  # noqa: ARG002
    ) -> int:
        """Return the bytes of a gradient and its square sum in float64.

        Args:
            reduction: None.
            width: H, the dimensions of the embedding.
            longest: Of no meaning here.
        """
        return 8 * (width + 1)

    def contributions(
        self,
        values: "Tensor",
        factors: "Factors",  # noqa: ARG002
        reduction: "Reduction | None",  # noqa: ARG002
    ) -> "Tensor":
        """Return each gradient and the sum of its squares, [D, L, H + 1].

        In float64, since the variance is a small difference of large numbers.

        Args:
            values: The gradients [D, L, H].
            factors: Of no meaning without a reduction.
            reduction: None.
        """
        from torch import cat  # noqa: PLC0415

        gradients = values.double()
        return cat((gradients, gradients.square().sum(dim=-1, keepdim=True)), dim=-1)

    def raw_scores(
        self,
        means: "Tensor",
        reduction: "Reduction | None",  # noqa: ARG002
        *,
        draws: int,  # noqa: ARG002
    ) -> "Tensor":
        """Return E Σ_d g² − Σ_d (E g)², [N, 1 + K, L].

        Args:
            means: Means of `contributions`, [N, 1 + K, L, H + 1].
            reduction: None.
            draws: Of no meaning here.
        """
        squares: Tensor = means[..., :-1].square().sum(dim=-1)
        return (means[..., -1] - squares).clamp_(min=0)
