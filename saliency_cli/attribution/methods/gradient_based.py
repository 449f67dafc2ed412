"""Methods that take the gradient of the target at points around a text's embeddings."""

from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.base import Method, Needs
from saliency_cli.settings import BaselineName, ObjectiveName, PropagationName, ReductionName

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch, DrawResults
    from saliency_cli.model.classifier import Classifier


class GradientMethod(Method):
    """A method whose result is the mean of ∂F/∂E at the points E + z, one z for each draw."""

    needs: ClassVar[Needs] = Needs.GRADIENT_PASSES
    default_reduction: ClassVar[ReductionName] = "dot"
    default_propagation: ClassVar[PropagationName | None] = "conservative"

    @property
    def removed_by(self) -> BaselineName | None:
        """Zero embeddings: G·E is, to first order, what F falls by without E."""
        return "zero"

    def displacements(self, batch: "DrawBatch") -> "Tensor | None":  # noqa: ARG002
        """Return z [D, L, H] for the draws of a batch, or None where every z is zero.

        With two passes a draw, the result is the mean of the gradients at E + z and E − z.
        """
        return None

    def evaluate(
        self, batch: "DrawBatch", classifier: "Classifier", *, objective: ObjectiveName
    ) -> "DrawResults":
        """Return the gradient [D, L, H] of each draw, and how many of its passes flip the label.

        Args:
            batch: D draws of one or more texts.
            classifier: The model.
            objective: What F is.
        """
        from saliency_cli.attribution.draw_batch import DrawResults  # noqa: PLC0415 - imports torch
        from saliency_cli.model.passes import gradient_passes  # noqa: PLC0415

        gradients = gradient_passes(
            classifier,
            batch.tokens,
            self.displacements(batch),
            targets=batch.targets,
            objective=objective,
            antithetic=self.passes_per_draw == 2,
        )
        return DrawResults(gradients.values, batch.flips(gradients.logits))
