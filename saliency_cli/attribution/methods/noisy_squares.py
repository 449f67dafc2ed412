"""What methods have in common that average squares of gradients over independent noise."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.gradient_based import GradientMethod
from saliency_cli.attribution.methods.parameters import (
    Noise,
    Samples,
    Seed,
    Tolerance,
    check_samples,
    check_tolerance,
)
from saliency_cli.attribution.methods.sampled import SampledMethod
from saliency_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch


@dataclass(frozen=True, slots=True)
class NoisySquares(SampledMethod, GradientMethod):
    """A method whose draws are single gradients at E + z, with z as SmoothGrad has it.

    Draws are independent: of a pair z and −z the squares differ little, so that a pair would say no
    more about their mean than one of the two.
    """

    default_reduction: ClassVar[None] = None  # type: ignore[assignment]

    samples: Samples = 10
    tolerance: Tolerance = 0.05
    noise: Noise = 0.01
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_tolerance(self.tolerance)
        check_samples(self.samples, least=2)
        if self.noise == 0:
            raise UsageError(
                f"--method {self.name} needs --noise above 0",
                "leave out --noise, or choose --method gradient",
            )

    def displacements(self, batch: "DrawBatch") -> "Tensor":
        """Return z [D, L, H] = S · (max E − min E) · ε; ε is keyed by seed, token ids and draw."""
        return batch.scaled_noise(self.noise, seed=self.seed)
