"""Shapley values by sampled orders (Castro et al., 2009)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.parameters import (
    Samples,
    Seed,
    Tolerance,
    check_samples,
    check_tolerance,
)
from saliency_cli.attribution.methods.perturbation import PerturbationMethod
from saliency_cli.attribution.methods.sampled import SampledMethod
from saliency_cli.records import Encoding, Row

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch, Outputs
    from saliency_cli.model.classifier import Classifier
    from saliency_cli.model.passes import CleanPasses


@dataclass(frozen=True, slots=True)
class Shapley(SampledMethod, PerturbationMethod):
    """The mean rise of F when a unit joins those before it, over random orders of the units.

    A sample is an order; a draw is an order and its reverse (antithetic sampling: Mitchell et al.,
    "Sampling permutations for Shapley value estimation", 2022, section 4.2), or a single order
    where one sample is asked for. Scores add up to F(x) − F(B), with B the text without any unit.

    An order of m units has m + 1 texts, of which the first is B and the last is x. Both are known,
    so it takes m − 1 passes: step j − 1 reads the text with the first j units. What such a text
    contributes is +F to the unit that joined last, and −F to the one that joins next.
    """

    name: ClassVar[str] = "shapley"
    title: ClassVar[str] = "Shapley values"
    is_complete: ClassVar[bool] = True

    samples: Samples = 10
    tolerance: Tolerance = 0.1
    seed: Seed = 0

    def __post_init__(self) -> None:
        PerturbationMethod.__post_init__(self)
        check_tolerance(self.tolerance)
        check_samples(self.samples, multiple=self.samples_per_draw)

    @property
    def samples_per_draw(self) -> int:
        """Two for an order and its reverse; one where a single order is drawn."""
        return 1 if self.samples == 1 else 2

    def prepare(
        self,
        clean: "CleanPasses",
        rows: Sequence[Row],
        encodings: Sequence[Encoding],
        classifier: "Classifier",
    ) -> "CleanPasses":
        """Return the clean passes with the units, and the logits of the texts without any unit.

        Args:
            clean: The clean passes.
            rows: The row of each text.
            encodings: The tokens of each text.
            classifier: The model.
        """
        from saliency_cli.model.passes import NO_UNIT  # noqa: PLC0415
        from saliency_cli.model.perturbation import perturbed_logits  # noqa: PLC0415

        clean = PerturbationMethod.prepare(self, clean, rows, encodings, classifier)
        assert clean.units is not None  # noqa: S101 - the line above has set them
        logits = perturbed_logits(
            classifier, clean.tokens, clean.units == NO_UNIT, removal=self.removal(classifier)
        )
        return replace(clean, baseline_logits=logits)

    def steps_per_draw(self, units: "Tensor") -> "Tensor":
        """Return m − 1 for each order, at least 1, [M]."""
        return (units - 1).clamp(min=1) * self.samples_per_draw

    def present(self, batch: "DrawBatch") -> "Tensor":
        """Return whether each token's unit is among those that have joined, [D, L]."""
        joined, _ = self._joined(batch)
        return self._ranks(batch) < joined[:, None]

    def values(self, batch: "DrawBatch", present: "Tensor", outputs: "Outputs") -> "Tensor":  # noqa: ARG002
        """Return what each text adds to the units that join before and after it, [D, L, 1].

        Args:
            batch: D lines.
            present: Of no meaning beside the ranks.
            outputs: F of the texts.
        """
        assert outputs.baseline is not None  # noqa: S101 - `prepare` has computed it
        joined, last = self._joined(batch)
        ranks = self._ranks(batch)
        plus = (ranks == joined[:, None] - 1).double()
        minus = (ranks == joined.minimum(last)[:, None]).double()
        values = outputs.perturbed[:, None] * (plus - minus)
        # The first step of an order also stands for its first and last text, B and x.
        ends = outputs.clean[:, None] * (ranks == last[:, None])
        ends -= outputs.baseline[:, None] * (ranks == 0)
        values += ends * (joined == 1)[:, None]
        return (values / (self.samples_per_draw * batch.tokens_per_unit()))[..., None]

    def _joined(self, batch: "DrawBatch") -> "tuple[Tensor, Tensor]":
        """Return how many units have joined in each line, [D], and the rank of the last one."""
        units = batch.unit_counts()
        steps = (units - 1).clamp(min=1)
        return batch.step_numbers() % steps + 1, units - 1

    def _ranks(self, batch: "DrawBatch") -> "Tensor":
        """Return the rank of each token's unit in the order of its line, [D, L]."""
        units = batch.unit_counts()
        ranks = batch.ranks_of_units(seed=self.seed)
        is_reverse = batch.step_numbers() >= (units - 1).clamp(min=1)
        return ranks.where(~is_reverse[:, None], units[:, None] - 1 - ranks)
