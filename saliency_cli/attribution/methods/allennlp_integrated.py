"""AllenNLP Interpret's integrated gradients, which `--preset allennlp-integrated` takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import BaselineName

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.model.classifier import Classifier
    from saliency_cli.model.passes import CleanPasses


@dataclass(frozen=True, slots=True)
class AllenNlpIntegrated(IntegratedGradients):
    """The mean of ∂F/∂E at k / 10 · E, for k = 0 … 9: left Riemann sums from zero.

    Special tokens start from zero, too. No method of `--method`: the preset fixes all of it.
    """

    name: ClassVar[str] = "allennlp-integrated"
    title: ClassVar[str] = "AllenNLP's integrated gradients"
    is_complete: ClassVar[bool] = False

    steps: int = 10
    baseline: BaselineName = "zero"

    def prepare(
        self,
        clean: "CleanPasses",
        rows: Sequence[Row],  # noqa: ARG002
        encodings: Sequence[Encoding],  # noqa: ARG002
        classifier: "Classifier",  # noqa: ARG002
    ) -> "CleanPasses":
        """Return the clean passes with a baseline of zeros at all tokens.

        Args:
            clean: The clean passes.
            rows: The row of each text.
            encodings: The tokens of each text.
            classifier: The model.
        """
        return replace(clean, baselines=clean.embeddings.new_zeros(clean.embeddings.shape))

    def position(self, number: "Tensor") -> "Tensor":
        """Return where the points lie on the path; the first one is the baseline.

        Args:
            number: The number of each point, from 0 on.
        """
        return number / self.steps
