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
from enum import Enum
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.settings import BaselineName, ObjectiveName, PropagationName, ReductionName

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch, DrawResults
    from saliency_cli.attribution.reduction import Reduction
    from saliency_cli.model.classifier import Classifier


class Needs(Enum):
    """What a method asks of the model; the value is the cost of one pass in forward passes.

    A backward pass takes about as long as two forward passes.
    """

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
    """

    panel: ClassVar[str] = "Method"
    name: ClassVar[str]
    title: ClassVar[str]
    needs: ClassVar[Needs]
    default_reduction: ClassVar[ReductionName | None] = None
    default_propagation: ClassVar[PropagationName | None] = None
    is_signed: ClassVar[bool] = False

    @property
    def is_random(self) -> bool:
        """Whether the method samples at random.

        Only such a method has standard errors and a flip rate (the share of its passes that predict
        another label).
        """
        return False

    @property
    def baseline_name(self) -> BaselineName | None:
        """The baseline that the text is compared with, or None for a method without one."""
        return None

    @property
    def passes_per_draw(self) -> int:
        """Passes of one draw, which stay in one batch: two for an antithetic pair."""
        return 1

    @property
    def tolerance_for_auto(self) -> float | None:
        """The error at which a text has enough draws, as a share of its largest score.

        None for a method whose number of draws is fixed beforehand.
        """
        return None

    @abstractmethod
    def total_draws(self, made: int, *, converged: bool) -> int:
        """Return how many draws a text needs in all; `made` if it needs no more.

        Args:
            made: Draws that the text has already, 0 at first.
            converged: Whether their errors are within the tolerance.
        """

    @abstractmethod
    def evaluate(
        self, batch: "DrawBatch", classifier: "Classifier", *, objective: ObjectiveName
    ) -> "DrawResults":
        """Return what each draw of a batch contributes to its text, from one run of the model.

        Args:
            batch: D draws of one or more texts.
            classifier: The model; no other thread uses it during the call.
            objective: What F is, the number that is explained (`model.passes.OBJECTIVES`).

        Returns:
            The contributions [D, L, H] and the flips of each draw; on padding contributions are
            ignored. A method without reductions returns [D, L, 1].
        """

    def contributions(
        self, values: "Tensor", factors: "Tensor", reduction: "Reduction | None"
    ) -> "Tensor":
        """Return what is added up over the draws, [D, L, W]; W is 1 where a token needs one number.

        Args:
            values: The contributions [D, L, H] of D draws.
            factors: What `dot` multiplies with, [D, L, H]: the clean embeddings E, or E − B for a
                method with a baseline B.
            reduction: The reduction that was chosen, or None for a method without one.
        """
        return values if reduction is None else reduction.contribution(values, factors)

    def raw_scores(self, means: "Tensor", reduction: "Reduction | None") -> "Tensor":
        """Return raw scores [N, 1 + K, L] of N texts, before they are normalised.

        Args:
            means: Means [N, 1 + K, L, W] of what `contributions` returned: over all draws and, of a
                random method, over all draws but those of one block, for each of K blocks.
            reduction: The reduction that was chosen, or None for a method without one.
        """
        return means.squeeze(-1).double() if reduction is None else reduction.score(means)
