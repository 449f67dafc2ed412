"""Keyed noise as scores: the floor that any method must beat."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.base import Method, Needs
from saliency_cli.attribution.methods.parameters import Seed
from saliency_cli.settings import ObjectiveName

if TYPE_CHECKING:
    from saliency_cli.attribution.draw_batch import DrawBatch, DrawResults
    from saliency_cli.model.classifier import Classifier


@dataclass(frozen=True, slots=True)
class RandomScores(Method):
    """A standard normal number for each token, keyed by seed and token ids; the model is not run.

    It estimates nothing, so it has no standard errors, though another seed gives other scores.
    """

    name: ClassVar[str] = "random"
    title: ClassVar[str] = "random scores"
    needs: ClassVar[Needs] = Needs.NOTHING
    is_signed: ClassVar[bool] = True
    has_objective: ClassVar[bool] = False

    seed: Seed = 0

    def total_draws(self, made: int, *, converged: bool) -> int:  # noqa: ARG002
        """Return 1: one number a token.

        Args:
            made: Draws that the text has already.
            converged: Of no meaning for a fixed number.
        """
        return 1

    def evaluate(
        self,
        batch: "DrawBatch",
        classifier: "Classifier",  # noqa: ARG002
        *,
        objective: ObjectiveName,  # noqa: ARG002
    ) -> "DrawResults":
        """Return the noise of each draw, [D, L, 1].

        Args:
            batch: D draws of one or more texts.
            classifier: Of no meaning here.
            objective: Of no meaning here.
        """
        from saliency_cli.attribution.draw_batch import DrawResults  # noqa: PLC0415

        noise = batch.normal_noise(seed=self.seed, width=1)
        return DrawResults(noise.double(), batch.no_flips())
