"""Gradients along the path from a baseline to the text (Sundararajan et al., 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from saliency_cli.attribution.methods.gradient_based import GradientMethod
from saliency_cli.attribution.methods.parameters import Baseline, check_baseline
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import BaselineName, Option, PropagationName

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch
    from saliency_cli.model.classifier import Classifier
    from saliency_cli.model.passes import CleanPasses


@dataclass(frozen=True, slots=True)
class IntegratedGradients(GradientMethod):
    """The mean of ∂F/∂E at B + (k + ½) / N · (E − B), for k = 0 … N − 1, times E − B with `dot`.

    The midpoint rule for "Axiomatic attribution for deep networks", equation 1. Its scores add up
    to F(x) − F(B), but for the error of the sum; that holds for autograd's gradients only, so
    propagation is standard by default.
    """

    name: ClassVar[str] = "integrated-gradients"
    title: ClassVar[str] = "integrated gradients"
    default_propagation: ClassVar[PropagationName] = "standard"
    is_complete: ClassVar[bool] = True

    steps: Annotated[
        int,
        Option(
            "Points on the path from the baseline at which the gradient is taken.",
            metavar="N",
            minimum=1,
            maximum=10_000,
        ),
    ] = 20
    baseline: Baseline = "mask"

    @property
    def removed_by(self) -> BaselineName | None:
        """The baseline."""
        return self.baseline

    def __post_init__(self) -> None:
        check_baseline(self.name, self.baseline, allowed=("mask", "pad", "zero"))

    def prepare(
        self,
        clean: "CleanPasses",
        rows: Sequence[Row],
        encodings: Sequence[Encoding],
        classifier: "Classifier",
    ) -> "CleanPasses":
        """Return the clean passes with the baseline's embeddings and logits.

        Args:
            clean: The clean passes.
            rows: The row of each text.
            encodings: The tokens of each text.
            classifier: The model.
        """
        from saliency_cli.attribution.baselines import with_baseline  # noqa: PLC0415

        return with_baseline(clean, rows, encodings, classifier, name=self.baseline)

    def total_draws(self, made: int, *, converged: bool) -> int:  # noqa: ARG002
        """Return the number of points.

        Args:
            made: Draws that the text has already.
            converged: Of no meaning for a fixed number.
        """
        return self.steps

    def position(self, number: "Tensor") -> "Tensor":
        """Return where the points lie on the path, from 0 at the baseline to 1 at the text.

        Args:
            number: The number of each point, from 0 on.
        """
        return (number + 0.5) / self.steps

    def displacements(self, batch: "DrawBatch") -> "Tensor":
        """Return the way from E to the point of each draw, [D, L, H]."""
        along = self.position(batch.draw_numbers()) - 1
        return along[:, None, None] * batch.factors()
