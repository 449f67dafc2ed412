"""A text under way: which draws of its gradient are still to be made, and what they add up to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from saliency_cli.attribution.methods import METHODS
from saliency_cli.attribution.reduction import (
    REDUCTIONS,
    normalised,
    standard_errors,
    with_rounding,
)
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import Target
from saliency_cli.model.memory import is_out_of_memory
from saliency_cli.model.passes import CleanPass, Gradients, PassRequest, gradient_passes
from saliency_cli.records import Attribution
from saliency_cli.settings import Maths

MAX_BLOCKS = 32
"""Gradients kept per text; with more draws than that, each is the sum of several."""
FIRST_PASSES = 4
MOST_PASSES = 64
"""`--samples auto`: passes to begin with, and passes to stop at."""


@dataclass(slots=True)
class Accumulator:
    """A text and a target: the clean pass, and the gradients of the draws that were made so far."""

    clean: CleanPass
    target: Target
    maths: Maths
    dtype_error: float = 0.0
    asked: int = 0
    made: int = 0
    flips: int = 0
    _found: "_Found | None" = None
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
        return self.asked if self.attribution.converged else min(2 * self.asked, most)

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
        return self._worked_out().attribution

    def raw(self) -> Tensor:
        """Return raw scores [1 + K, L]: of all draws and, with several blocks, without one each."""
        return self._worked_out().raw

    def _worked_out(self) -> "_Found":
        if self._found is None:
            work_out([self])
        assert self._found is not None  # noqa: S101 - it has just been found
        return self._found

    @property
    def passes(self) -> int:
        """Noisy passes made."""
        return self.made * self.maths.sampling.passes_per_draw

    @property
    def blocks(self) -> Tensor:
        """Sums [K, L, H] of gradients, of one draw each while there are few."""
        return torch.cat(self._blocks)


@dataclass(frozen=True, slots=True)
class _Found:
    """What draws add up to: raw scores [1 + K, L], on the CPU, and the attribution they give."""

    raw: Tensor
    attribution: Attribution


def work_out(pendings: Iterable[Accumulator]) -> None:
    """Reduce what was drawn of some texts; as many draws of texts of one length in one go."""
    alike: dict[tuple[int, int], list[Accumulator]] = {}
    for pending in pendings:
        alike.setdefault((pending.made, len(pending.clean.encoding)), []).append(pending)
    for group in alike.values():
        _work_out(group)


def _work_out(alike: Sequence[Accumulator]) -> None:
    """Reduce what was drawn of some texts, in halves where memory runs out."""
    raw = _raw_scores(alike)
    if raw is None:
        half = len(alike) // 2
        _work_out(alike[:half])
        _work_out(alike[half:])
        return
    for pending, *found in zip(alike, raw, _attributions(alike, raw), strict=True):
        pending._found = _Found(*found)  # noqa: SLF001 - known from here on


def gradients(alike: Sequence[Accumulator]) -> Tensor:
    """Return G [N, 1 + K, L, H]: the mean over all draws, and over those without one block each."""
    made = alike[0].made
    blocks = torch.stack([pending.blocks for pending in alike])
    total = blocks.sum(dim=1, keepdim=True)
    count = blocks.shape[1]
    if count == 1:
        return total / made
    sizes = [len(range(number, made, count)) for number in range(count)]
    left = torch.tensor([made - size for size in sizes], device=blocks.device)[:, None, None]
    return torch.cat((total / made, (total - blocks) / left), dim=1)


def _raw_scores(alike: Sequence[Accumulator]) -> Tensor | None:
    """Return raw scores [N, 1 + K, L], or None where there is no room for so many at once."""
    reduction = REDUCTIONS[alike[0].maths.reduction]
    try:
        embeddings = torch.stack([pending.clean.embedding for pending in alike])
        return reduction(gradients(alike), embeddings[:, None]).cpu()
    except (RuntimeError, MemoryError) as error:
        if len(alike) == 1 or not is_out_of_memory(error):
            raise
    return None


def _attributions(alike: Sequence[Accumulator], raw: Tensor) -> Iterator[Attribution]:
    every, sampling = normalised(raw), alike[0].maths.sampling
    found, without = every[:, 0], every[:, 1:]
    errors = standard_errors(without, found) if without.shape[1] > 1 else None
    small = torch.ones(len(alike), dtype=torch.bool)
    if errors is not None:
        small = errors.amax(dim=-1) <= sampling.tolerance * found.abs().amax(dim=-1)
    errors = with_rounding(errors, found, share=alike[0].dtype_error)
    told = [None] * len(alike) if errors is None else map(tuple, errors.tolist())
    for pending, scores, own, converged in zip(
        alike, found.tolist(), told, small.tolist(), strict=True
    ):
        yield Attribution(
            scores=tuple(scores),
            errors=own,
            samples=pending.passes,
            flip_rate=pending.flips / pending.passes,
            converged=converged or sampling.draws is not None,
        )


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws of a text's noise that follow each other; each a pass, or an antithetic pair."""

    pending: Accumulator
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
    aims = [
        PassRequest(draws.pending.clean, draws.pending.target, len(draws.numbers))
        for draws in batch
    ]
    each = [draws.pending.clean for draws in batch for _ in draws.numbers]
    numbers = [number for draws in batch for number in draws.numbers]
    return gradient_passes(
        classifier,
        aims,
        METHODS[maths.method](each, numbers, maths.sampling),
        objective=maths.objective,
        antithetic=maths.sampling.passes_per_draw == 2,
    )


def add_up(batch: Sequence[Draws], gradients: Gradients) -> list[Accumulator]:
    """Add a batch's gradients to its texts; return those whose round is over, worked out."""
    first = 0
    for draws in batch:
        mine = slice(first, first + len(draws.numbers))
        flips = sum(gradients.flips[mine])
        draws.pending.add(gradients.values[mine, : draws.length], flips=flips)
        first = mine.stop
    over = {id(draws.pending): draws.pending for draws in batch if draws.pending.round_over}
    work_out(over.values())
    return [*over.values()]
