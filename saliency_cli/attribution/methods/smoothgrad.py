"""SmoothGrad on a text: the gradient, averaged over Gaussian noise on the token embeddings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from saliency_cli.attribution.methods.gradient_based import GradientMethod
from saliency_cli.attribution.methods.parameters import (
    Noise,
    Samples,
    Seed,
    Tolerance,
    adaptive_total,
    check_samples,
    check_tolerance,
)
from saliency_cli.settings import Option

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch


@dataclass(frozen=True, slots=True)
class SmoothGrad(GradientMethod):
    """The mean of ∂F/∂E at E + S · (max E − min E) · ε, for Gaussian noise ε.

    The range max E − min E is that of each text's own tokens, so that its neighbours in a batch
    change nothing (Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017, section 3;
    the scale by the range is AllenNLP Interpret's).
    """

    name: ClassVar[str] = "smoothgrad"
    title: ClassVar[str] = "SmoothGrad"

    samples: Samples = "auto"
    tolerance: Tolerance = 0.03
    antithetic: Annotated[
        bool,
        Option("Draw noise in pairs ε and −ε, or independently.", default="pairs"),
    ] = True
    noise: Noise = 0.01
    seed: Seed = 0

    def __post_init__(self) -> None:
        check_tolerance(self.tolerance)
        hint = "give an even number, or add --no-antithetic"
        check_samples(self.samples, multiple=self.passes_per_draw, hint=hint)

    @property
    def is_random(self) -> bool:
        """Whether there is noise at all."""
        return self.noise > 0

    @property
    def passes_per_draw(self) -> int:
        """Two for a pair ε and −ε; one without noise, without pairs, or for a single pass."""
        return 2 if self.antithetic and self.noise > 0 and self.samples != 1 else 1

    @property
    def tolerance_for_auto(self) -> float | None:
        """The tolerance, where `--samples auto` decides."""
        return self.tolerance if self.samples == "auto" and self.is_random else None

    def total_draws(self, made: int, *, converged: bool) -> int:
        """Return how many draws a text needs in all: with auto, twice as many until it converges.

        Args:
            made: Draws that the text has already.
            converged: Whether their errors are within the tolerance.
        """
        if not self.is_random:
            return 1
        each = self.passes_per_draw
        return adaptive_total(self.samples, made, converged=converged, each=each)

    def displacements(self, batch: "DrawBatch") -> "Tensor | None":
        """Return z [D, L, H] = S · (max E − min E) · ε; ε is keyed by seed, token ids and draw."""
        return batch.scaled_noise(self.noise, seed=self.seed) if self.is_random else None
