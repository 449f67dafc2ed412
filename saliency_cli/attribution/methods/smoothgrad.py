"""SmoothGrad on a text: the gradient, averaged over Gaussian noise on the token embeddings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from saliency_cli.attribution.methods.gradient_based import GradientMethod
from saliency_cli.attribution.methods.parameters import Samples, Seed, check_samples
from saliency_cli.errors import UsageError
from saliency_cli.settings import Option

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch

FIRST_PASSES = 4
MOST_PASSES = 64
"""`--samples auto`: passes of the first round, and passes at which it stops."""


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
    tolerance: Annotated[
        float,
        Option(
            "Largest error at which --samples auto stops, as a share of the text's largest score.",
            metavar="SHARE",
        ),
    ] = 0.03
    antithetic: Annotated[
        bool,
        Option("Draw noise in pairs ε and −ε, or independently.", default="pairs"),
    ] = True
    noise: Annotated[
        float,
        Option(
            "Standard deviation of the noise S, as a share of the text's embedding range.",
            more="0 is the plain gradient.",
            metavar="S",
            minimum=0,
            maximum=10,
        ),
    ] = 0.01
    seed: Seed = 0

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise UsageError("--tolerance must be above 0")
        check_samples(self.samples, multiple=self.passes_per_draw)

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
        if self.samples != "auto":
            return self.samples // self.passes_per_draw
        if made == 0:
            return FIRST_PASSES // self.passes_per_draw
        return made if converged else min(2 * made, MOST_PASSES // self.passes_per_draw)

    def displacements(self, batch: "DrawBatch") -> "Tensor | None":
        """Return z [D, L, H] = S · (max E − min E) · ε; ε is keyed by seed, token ids and draw."""
        if not self.is_random:
            return None
        scales = self.noise * batch.embedding_ranges()
        return batch.normal_noise(seed=self.seed).mul_(scales[:, None, None])
