"""Methods that take parts out of a text and look how far F falls, with forward passes only."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.base import Method, Needs
from saliency_cli.attribution.methods.parameters import Baseline, Units, check_baseline
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import BaselineName, ObjectiveName

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch, DrawResults, Outputs
    from saliency_cli.model.classifier import Classifier
    from saliency_cli.model.passes import CleanPasses
    from saliency_cli.model.perturbation import Removal


@dataclass(frozen=True, slots=True)
class PerturbationMethod(Method):
    """A method whose steps are forward passes over texts without some of their units.

    A unit is a token, or a word with all its tokens; each of these has an equal part of the word's
    score. Special tokens stay in the text and have score 0. All targets of a text share the passes.
    """

    needs: ClassVar[Needs] = Needs.FORWARD_PASSES
    is_signed: ClassVar[bool] = True

    units: Units = "tokens"
    baseline: Baseline = "mask"

    @property
    def removed_by(self) -> BaselineName | None:
        """The baseline."""
        return self.baseline

    def __post_init__(self) -> None:
        check_baseline(self.name, self.baseline, allowed=("mask", "pad", "delete"))

    @property
    def has_flip_rate(self) -> bool:
        """False: texts without some of their words may well have another label."""
        return False

    def prepare(
        self,
        clean: "CleanPasses",
        rows: Sequence[Row],
        encodings: Sequence[Encoding],
        classifier: "Classifier",  # noqa: ARG002
    ) -> "CleanPasses":
        """Return the clean passes with the units of the texts.

        Args:
            clean: The clean passes.
            rows: The row of each text.
            encodings: The tokens of each text.
            classifier: The model.
        """
        from saliency_cli.attribution.units import unit_numbers  # noqa: PLC0415
        from saliency_cli.model.devices import to_device  # noqa: PLC0415

        units = unit_numbers(rows, encodings, units=self.units)
        return replace(clean, units=to_device(units, clean.embeddings.device))

    def removal(self, classifier: "Classifier") -> "Removal":
        """Return what takes the place of a token that is taken out.

        Args:
            classifier: The model, with its tokenizer.
        """
        from saliency_cli.model.perturbation import Removal, mask_id  # noqa: PLC0415

        if self.baseline == "delete":
            return Removal(None)
        return Removal(mask_id(classifier) if self.baseline == "mask" else classifier.pad_id)

    @abstractmethod
    def present(self, batch: "DrawBatch") -> "Tensor":
        """Return whether each token's unit is in the text of each line, [D, L].

        What it says of tokens without a unit has no meaning: they stay in the text.
        """

    @abstractmethod
    def values(self, batch: "DrawBatch", present: "Tensor", outputs: "Outputs") -> "Tensor":
        """Return what each line contributes, [D, L, W]; on tokens without a unit it is ignored.

        Args:
            batch: D lines, each a step of a draw for one target.
            present: Whether each token's unit is in the text, [D, L]; False without a unit.
            outputs: F of the texts.
        """

    def evaluate(
        self, batch: "DrawBatch", classifier: "Classifier", *, objective: ObjectiveName
    ) -> "DrawResults":
        """Return what each line contributes, [D, L, W], from one forward pass.

        Args:
            batch: D lines, those of several targets of a text next to each other.
            classifier: The model.
            objective: What F is.
        """
        from saliency_cli.attribution.draw_batch import DrawResults  # noqa: PLC0415
        from saliency_cli.model.passes import NO_UNIT  # noqa: PLC0415

        has_unit = batch.units() != NO_UNIT
        present = self.present(batch)
        logits = self._logits(batch, present | ~has_unit, classifier)
        present &= has_unit
        outputs = batch.outputs(logits, objective, head=classifier.head)
        values = self.values(batch, present, outputs) * has_unit[..., None]
        return DrawResults(values, batch.no_flips())

    def _logits(self, batch: "DrawBatch", kept: "Tensor", classifier: "Classifier") -> "Tensor":
        """Return the logits [D, C] of each line's text, on the CPU; shared lines run once.

        Args:
            batch: D lines.
            kept: Whether each token is in the text, [D, L].
            classifier: The model.
        """
        from saliency_cli.model.devices import to_device  # noqa: PLC0415
        from saliency_cli.model.perturbation import perturbed_logits  # noqa: PLC0415

        first = batch.first_of_evaluations()
        tokens = batch.clean.tokens.select(batch.texts[first])
        kept = kept[to_device(first, kept.device)]
        removal = self.removal(classifier)
        return perturbed_logits(classifier, tokens, kept, removal=removal)[batch.evaluations]
