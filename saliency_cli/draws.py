"""A text under way: which draws of its gradient are still to be made, and what they add up to."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from saliency_cli.passes import Clean
from saliency_cli.records import Attribution
from saliency_cli.reduction import scores, standard_errors
from saliency_cli.settings import Maths

MAX_BLOCKS = 32
"""Gradients kept per text; with more draws than that, each is the sum of several."""
FIRST_PASSES = 4
MOST_PASSES = 64
TOLERANCE = 0.02
"""`--samples auto`: passes to begin with, passes to stop at, and the error that is small enough, as
a share of the text's largest score."""


@dataclass(slots=True)
class Pending:
    """One text: its clean pass, and the gradients of the draws that were made so far."""

    clean: Clean
    maths: Maths
    asked: int = 0
    made: int = 0
    flips: int = 0
    _blocks: list[Tensor] = field(default_factory=list)
    _sizes: list[int] = field(default_factory=list)

    def next_round(self) -> "list[Draw]":
        """Return the draws to make next: none once the text is done.

        What a round holds follows from the settings and the text alone. A fixed number is one
        round; without one the number doubles until the errors are small, or too many.
        """
        goal = self._goal()
        draws = [Draw(self, number) for number in range(self.asked, goal)]
        self.asked = goal
        return draws

    def _goal(self) -> int:
        sampling = self.maths.sampling
        if sampling.draws is not None:
            return sampling.draws
        if self.asked == 0:
            return FIRST_PASSES // sampling.passes_per_draw
        most = MOST_PASSES // sampling.passes_per_draw
        return self.asked if self.settled() else min(2 * self.asked, most)

    def add(self, gradients: Tensor, flips: int) -> None:
        """Add one draw, the gradients [P, L, H] of its passes; return whether a round is over."""
        gradient = gradients.mean(dim=0)
        if len(self._blocks) < MAX_BLOCKS:
            self._blocks.append(gradient)
            self._sizes.append(1)
        else:
            self._blocks[self.made % MAX_BLOCKS] += gradient
            self._sizes[self.made % MAX_BLOCKS] += 1
        self.made += 1
        self.flips += flips

    @property
    def round_over(self) -> bool:
        """Whether every draw that was asked for is made."""
        return self.made == self.asked

    def gradient(self) -> Tensor:
        """Return G [L, H], the mean over all draws."""
        return torch.stack(self._blocks).sum(dim=0) / self.made

    def settled(self) -> bool:
        """Whether every error is within the tolerance."""
        errors = self._errors()
        return errors is None or bool(errors.max() <= TOLERANCE * self._scores().abs().max())

    def _scores(self) -> Tensor:
        return scores(self.gradient(), self.clean.embedding, reduction=self.maths.reduction)

    def _errors(self) -> Tensor | None:
        if len(self._blocks) < 2:
            return None
        blocks = torch.stack(self._blocks)
        sizes = torch.tensor(self._sizes, device=blocks.device)[:, None, None]
        others = (blocks.sum(dim=0) - blocks) / (self.made - sizes)
        return standard_errors(scores(others, self.clean.embedding, reduction=self.maths.reduction))

    def attribution(self) -> Attribution:
        """Return what the draws add up to."""
        errors = self._errors()
        passes = self.made * self.maths.sampling.passes_per_draw
        return Attribution(
            scores=tuple(self._scores().tolist()),
            errors=None if errors is None else tuple(errors.tolist()),
            samples=passes,
            flip_rate=self.flips / passes,
            settled=self.maths.sampling.draws is not None or self.settled(),
        )


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw of a text's noise: a pass, or an antithetic pair of passes that stay together."""

    pending: Pending
    number: int

    @property
    def length(self) -> int:
        """Tokens of the text."""
        return len(self.pending.clean.encoding)

    @property
    def rows(self) -> int:
        """Passes of this draw."""
        return self.pending.maths.sampling.passes_per_draw
