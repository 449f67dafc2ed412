"""What methods have in common whose results are means over independent random draws."""

from typing import ClassVar

from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.parameters import (
    FIRST_SAMPLES,
    MOST_SAMPLES,
    SampleCount,
    adaptive_total,
)


class SampledMethod(Method):
    """A method with `--samples` and `--tolerance` that has no result without randomness.

    Attributes:
        samples: The value of `--samples`, a field of the method.
        tolerance: The value of `--tolerance`, a field of the method.
        first_samples: With auto, samples of the first round.
        most_samples: With auto, samples at which it stops.
    """

    samples: SampleCount
    tolerance: float
    first_samples: ClassVar[int] = FIRST_SAMPLES
    most_samples: ClassVar[int] = MOST_SAMPLES

    @property
    def is_random(self) -> bool:
        """True."""
        return True

    @property
    def tolerance_for_auto(self) -> float | None:
        """The tolerance, where `--samples auto` decides."""
        return self.tolerance if self.samples == "auto" else None

    def total_draws(self, made: int, *, converged: bool) -> int:
        """Return how many draws a text needs in all.

        Args:
            made: Draws that the text has already.
            converged: Whether their errors are within the tolerance.
        """
        return adaptive_total(
            self.samples,
            made,
            converged=converged,
            each=self.samples_per_draw,
            first=self.first_samples,
            most=self.most_samples,
        )
