"""A text under way: which draws of its gradient are still to be made, and what they add up to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from saliency_cli.classifier import Classifier
from saliency_cli.heads import Target
from saliency_cli.methods import METHODS
from saliency_cli.passes import Aim, Clean, Gradients, gradient_passes
from saliency_cli.records import Attribution
from saliency_cli.reduction import REDUCTIONS, normalised, standard_errors, with_rounding
from saliency_cli.settings import Maths

MAX_BLOCKS = 32
"""Gradients kept per text; with more draws than that, each is the sum of several."""
FIRST_PASSES = 4
MOST_PASSES = 64
"""`--samples auto`: passes to begin with, and passes to stop at."""


@dataclass(slots=True)
class Pending:
    """A text and a target: the clean pass, and the gradients of the draws that were made so far."""

    clean: Clean
    target: Target
    maths: Maths
    rounding: float = 0.0
    asked: int = 0
    made: int = 0
    flips: int = 0
    _found: Attribution | None = None
    _blocks: list[Tensor] = field(default_factory=list)

    def next_round(self) -> "Draws | None":
        """Return the draws to make next, or None once the text is done.

        What a round holds follows from the settings and the text alone. A fixed number is one
        round; without one the number doubles until the errors are small, or too many.
        """
        goal = self._goal()
        if goal == self.asked:
            return None
        draws = Draws(self, range(self.asked, goal))
        self.asked, self._found = goal, None
        return draws

    def _goal(self) -> int:
        sampling = self.maths.sampling
        if sampling.draws is not None:
            return sampling.draws
        if self.asked == 0:
            return FIRST_PASSES // sampling.passes_per_draw
        most = MOST_PASSES // sampling.passes_per_draw
        return self.asked if self.attribution.settled else min(2 * self.asked, most)

    def add(self, gradients: Tensor, *, flips: int) -> None:
        """Add draws: their gradients [D, L, H], and how many of their passes flipped the label.

        The first 32 are kept as they are; each later one is added to one of those, by its number.
        """
        self.made += len(gradients)
        self.flips += flips
        self._blocks.append(gradients)
        if self.made > MAX_BLOCKS:
            every = torch.cat(self._blocks)
            kept, later = every[:MAX_BLOCKS], every[MAX_BLOCKS:]
            numbers = torch.arange(self.made - len(later), self.made, device=every.device)
            self._blocks = [kept.index_add(0, numbers % MAX_BLOCKS, later)]

    @property
    def round_over(self) -> bool:
        """Whether every draw that was asked for is made."""
        return self.made == self.asked

    @property
    def attribution(self) -> Attribution:
        """What the draws add up to, so far."""
        if self._found is None:
            self._found = self._attribution()
        return self._found

    def _attribution(self) -> Attribution:
        every = normalised(self.raw())
        found, errors = every[0], standard_errors(every[1:], every[0]) if len(every) > 1 else None
        tolerance = self.maths.sampling.tolerance
        small = errors is None or bool(errors.max() <= tolerance * found.abs().max())
        errors = with_rounding(errors, found, share=self.rounding)
        return Attribution(
            scores=tuple(found.tolist()),
            errors=None if errors is None else tuple(errors.tolist()),
            samples=self.passes,
            flip_rate=self.flips / self.passes,
            settled=small or self.maths.sampling.draws is not None,
        )

    @property
    def passes(self) -> int:
        """Noisy passes made."""
        return self.made * self.maths.sampling.passes_per_draw

    def raw(self) -> Tensor:
        """Return raw scores [1 + K, L]: of all draws and, with several blocks, without one each."""
        reduction = REDUCTIONS[self.maths.reduction]
        return reduction(self.gradients(), self.clean.embedding).cpu()

    def gradients(self) -> Tensor:
        """Return G [1 + K, L, H], the mean over all draws and over those without one block each."""
        blocks = torch.cat(self._blocks)
        total = blocks.sum(dim=0, keepdim=True)
        if len(blocks) == 1:
            return total / self.made
        without = (total - blocks) / (self.made - self._sizes(len(blocks)))
        return torch.cat((total / self.made, without))

    def _sizes(self, count: int) -> Tensor | int:
        """Return how many draws each of `count` blocks is the sum of, as [count, 1, 1]."""
        if count == self.made:
            return 1
        sizes = [len(range(number, self.made, count)) for number in range(count)]
        return torch.tensor(sizes, device=self.clean.embedding.device)[:, None, None]


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws of a text's noise that follow each other; each a pass, or an antithetic pair."""

    pending: Pending
    numbers: range

    @property
    def length(self) -> int:
        """Tokens of the text."""
        return len(self.pending.clean.encoding)

    @property
    def grain(self) -> int:
        """Passes of one draw, which stay together."""
        return self.pending.maths.sampling.passes_per_draw

    @property
    def rows(self) -> int:
        """Passes of all draws."""
        return len(self.numbers) * self.grain

    def split(self, rows: int) -> "tuple[Draws, Draws]":
        """Divide into the draws of the first `rows` passes and the rest."""
        first, rest = self.numbers[: rows // self.grain], self.numbers[rows // self.grain :]
        return replace(self, numbers=first), replace(self, numbers=rest)


def gradients_of(batch: Sequence[Draws], classifier: Classifier) -> Gradients:
    """Make a batch of draws; nothing is added up yet."""
    maths = batch[0].pending.maths
    aims = [Aim(draws.pending.clean, draws.pending.target, len(draws.numbers)) for draws in batch]
    each = [draws.pending.clean for draws in batch for _ in draws.numbers]
    numbers = [number for draws in batch for number in draws.numbers]
    return gradient_passes(
        classifier,
        aims,
        METHODS[maths.method](each, numbers, maths.sampling),
        objective=maths.objective,
        antithetic=maths.sampling.passes_per_draw == 2,
    )


def add_up(batch: Sequence[Draws], gradients: Gradients) -> list[Pending]:
    """Add a batch's gradients to its texts; return those whose round is over with it."""
    first = 0
    for draws in batch:
        mine = slice(first, first + len(draws.numbers))
        flips = sum(gradients.flips[mine])
        draws.pending.add(gradients.values[mine, : draws.length], flips=flips)
        first = mine.stop
    over = {id(draws.pending): draws.pending for draws in batch if draws.pending.round_over}
    return [*over.values()]
