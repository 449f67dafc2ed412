"""How far F falls when a part of the text is taken out (Li et al., 2016)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.perturbation import PerturbationMethod

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch, Outputs


@dataclass(frozen=True, slots=True)
class Occlusion(PerturbationMethod):
    """F(x) − F(x without unit u), one forward pass a unit.

    "Understanding neural networks through representation erasure", equation 1, of F itself.
    """

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "occlusion"

    def total_draws(self, made: int, *, converged: bool) -> int:  # noqa: ARG002
        """Return 1: a draw has one step for each unit.

        Args:
            made: Draws that the text has already.
            converged: Of no meaning for a fixed number.
        """
        return 1

    def steps_per_draw(self, units: "Tensor") -> "Tensor":
        """Return the number of units of each text, [M]."""
        return units

    def present(self, batch: "DrawBatch") -> "Tensor":
        """Return True but for the tokens of the unit that the step takes out, [D, L]."""
        return batch.units() != batch.step_numbers()[:, None]

    def values(self, batch: "DrawBatch", present: "Tensor", outputs: "Outputs") -> "Tensor":
        """Return how far F falls, divided among the tokens of the unit, [D, L, 1].

        Args:
            batch: D lines.
            present: False for the tokens of the unit.
            outputs: F of the texts.
        """
        falls = (outputs.clean - outputs.perturbed)[:, None] / batch.tokens_per_unit()
        return (falls * ~present)[..., None]
