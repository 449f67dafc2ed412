"""The plain gradient of the target at the clean embeddings (Simonyan et al., 2013)."""

from dataclasses import dataclass
from typing import ClassVar

from saliency_cli.attribution.methods.gradient_based import GradientMethod


@dataclass(frozen=True, slots=True)
class Gradient(GradientMethod):
    """∂F/∂E at E: one gradient pass a text, nothing random, so no errors and no flip rate."""

    name: ClassVar[str] = "gradient"
    title: ClassVar[str] = "the gradient"

    def total_draws(self, made: int, *, converged: bool) -> int:  # noqa: ARG002
        """Return 1: a single pass at the clean embeddings.

        Args:
            made: Draws that the text has already.
            converged: Of no meaning for a fixed number.
        """
        return 1
