"""What every attribution method declares, and what the engine asks of it.

A method is a frozen dataclass. Its fields are its options: the command line, the docs and the
manifest are derived from them. Its class attributes and properties say what it is, and the engine,
the records, the page and the warnings follow from those.

The unit of work is the *draw*: one evaluation of a text, numbered from 0. For a method that draws
at random it is one noise sample, or an antithetic pair; for a deterministic method one point at
which the model is evaluated. The engine packs the draws of many texts into batches, adds up what
each draw contributes, and gives the means to the method.

The command line reads these modules for `--help`, so they import torch inside functions only.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.records import Encoding, Row
from saliency_cli.settings import BaselineName, ObjectiveName, PropagationName, ReductionName

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch, DrawResults
    from saliency_cli.attribution.reduction import Factors, Reduction
    from saliency_cli.model.classifier import Classifier
    from saliency_cli.model.passes import CleanPasses


class Needs(Enum):
    """What a method asks of the model; the value is the cost of one pass in forward passes.

    A backward pass takes about as long as two forward passes.
    """

    NOTHING = 0
    FORWARD_PASSES = 1
    GRADIENT_PASSES = 3


class Method(ABC):
    """An attribution method.

    Attributes:
        panel: The heading of the method's options in `--help`.
        name: The value of `--method`.
        title: The method's name in sentences; the manifest has it.
        needs: The kind of pass that a draw takes.
        default_reduction: How the results become one number a token unless `--reduction` is given;
            None for a method whose results are one number a token already.
        default_propagation: How backward passes run unless `--propagation` is given; None for a
            method without backward passes.
        is_signed: Whether scores of a method without reductions have a sign. With a reduction, that
            decides (`attribution.reduction`).
        needs_eager_attention: Whether the model must compute attention by its definition, as only
            then it gives the weights.
        has_objective: Whether scores depend on F.
        is_complete: Whether signed raw scores add up to F(x) − F(B), with B the method's baseline.
        most_blocks: Sums of draws kept for a part of a text, from which errors are estimated; with
            more draws than that, each is the sum of several.
    """

    panel: ClassVar[str] = "Method"
    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[Needs]
    default_reduction: ClassVar[ReductionName | None] = None
    default_propagation: ClassVar[PropagationName | None] = None
    is_signed: ClassVar[bool] = False
    needs_eager_attention: ClassVar[bool] = False
    has_objective: ClassVar[bool] = True
    is_complete: ClassVar[bool] = False
    most_blocks: ClassVar[int] = 32

    @property
    def is_random(self) -> bool:
        """Whether the method samples at random, so that its scores have standard errors."""
        return False

    @property
    def has_flip_rate(self) -> bool:
        """Whether its passes are of texts that differ so little that none should change the label.

        The record then has the share of them that do.
        """
        return self.is_random

    @property
    def removed_by(self) -> BaselineName | None:
        """What a signed score compares a word with, in words of `--baseline`; None if nothing."""
        return None

    @property
    def passes_per_draw(self) -> int:
        """Passes of one draw, or of one step of a draw, which stay in one batch."""
        return 1

    @property
    def samples_per_draw(self) -> int:
        """What a draw adds to the number of samples in the record."""
        return self.passes_per_draw

    @property
    def shares_passes(self) -> bool:
        """Whether all targets of a text are read from the same passes."""
        return self.needs is not Needs.GRADIENT_PASSES

    @property
    def tolerance_for_auto(self) -> float | None:
        """The error at which a text has enough draws, as a share of its largest score.

        None for a method whose number of draws is fixed beforehand.
        """
        return None

    def check(self, classifier: "Classifier") -> None:  # noqa: B027 - most have nothing to check
        """Raise UsageError if the model does not have what the method needs."""

    @abstractmethod
    def total_draws(self, made: int, *, converged: bool) -> int:
        """Return how many draws a text needs in all; `made` if it needs no more.

        Args:
            made: Draws that the text has already, 0 at first.
            converged: Whether their errors are within the tolerance.
        """

    def steps_per_draw(self, units: "Tensor") -> "Tensor":
        """Return the steps that a draw of each text is divided into, [M].

        A step is one line of a batch. What the steps of a draw contribute is added up.

        Args:
            units: The number of units of each text (`attribution.units`), [M].
        """
        return units.new_ones(len(units))

    def prepare(
        self,
        clean: "CleanPasses",
        rows: Sequence[Row],  # noqa: ARG002
        encodings: Sequence[Encoding],  # noqa: ARG002
        classifier: "Classifier",  # noqa: ARG002
    ) -> "CleanPasses":
        """Return the clean passes of some texts with what the method needs beside them.

        Args:
            clean: The clean passes.
            rows: The row of each text.
            encodings: The tokens of each text.
            classifier: The model.
        """
        return clean

    def bytes_per_token(
        self,
        reduction: "Reduction | None",
        *,
        width: int,
        longest: int,  # noqa: ARG002
    ) -> int:
        """Return the bytes of what `contributions` keeps for a token and a block.

        Args:
            reduction: The reduction that was chosen.
            width: H, the dimensions of the embedding.
            longest: The largest number of tokens of a text.
        """
        return 8 if reduction is None or reduction.is_linear else 4 * width

    @abstractmethod
    def evaluate(
        self, batch: "DrawBatch", classifier: "Classifier", *, objective: ObjectiveName
    ) -> "DrawResults":
        """Return what each draw of a batch contributes to its text, from one run of the model.

        Args:
            batch: D draws of one or more texts.
            classifier: The model; no other thread uses it during the call.
            objective: What F is, the number that is explained (`model.objectives`).

        Returns:
            The contributions [D, L, H] and the flips of each draw; on padding contributions are
            ignored. A method without reductions returns [D, L, 1].
        """

    def contributions(
        self, values: "Tensor", factors: "Factors", reduction: "Reduction | None"
    ) -> "Tensor":
        """Return what is added up over the draws, [D, L, W]; W is 1 where a token needs one number.

        Args:
            values: The contributions [D, L, H] of D draws.
            factors: Returns what `dot` multiplies with, [D, L, H]: the clean embeddings E, or E − B
                for a method with a baseline B.
            reduction: The reduction that was chosen, or None for a method without one.
        """
        return values if reduction is None else reduction.contribution(values, factors)

    def raw_scores(
        self,
        means: "Tensor",
        reduction: "Reduction | None",
        *,
        draws: int,  # noqa: ARG002
    ) -> "Tensor":
        """Return raw scores [N, 1 + K, L] of N texts, before they are normalised.

        Args:
            means: Means [N, 1 + K, L, W] of what `contributions` returned: over all draws and, of a
                random method, over all draws but those of one block, for each of K blocks.
            reduction: The reduction that was chosen, or None for a method without one.
            draws: Draws behind the means.
        """
        return means.squeeze(-1).double() if reduction is None else reduction.score(means)
