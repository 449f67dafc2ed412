"""The draws of a text that are still to be made, and the sums of those that were made.

Shapes: N texts, D draws, K blocks of draws, L tokens, H dimensions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from saliency_cli.attribution.draw_batch import DrawBatch, DrawResults
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.reduction import (
    REDUCTIONS,
    normalised,
    standard_errors,
    with_dtype_error,
)
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import Target
from saliency_cli.model.memory import is_out_of_memory
from saliency_cli.model.passes import CleanPass, PassRequest
from saliency_cli.records import Attribution

MAX_BLOCKS = 32
"""Sums kept per text for the jackknife; with more draws than that, each is the sum of several."""


def block_limit(method: Method) -> int:
    """Return how many sums of draws are kept per text: one if there are no errors to estimate."""
    return MAX_BLOCKS if method.is_random else 1


@dataclass(slots=True)
class Accumulator:
    """One text and target: its clean pass, and what its draws have contributed so far.

    Attributes:
        clean: The text's clean pass.
        target: What F is.
        maths: Method, reduction and objective.
        dtype_error: What the number format moves scores by, as a share of their sizes.
        requested: Draws that were queued.
        made: Draws that were added.
        flips: Passes that predicted another label than the clean pass.
    """

    clean: CleanPass
    target: Target
    maths: Maths
    dtype_error: float = 0.0
    requested: int = 0
    made: int = 0
    flips: int = 0
    _scores: "Scores | None" = None
    _blocks: list[Tensor] = field(default_factory=list)

    def next_round(self) -> "Draws | None":
        """Return the draws to make next, or None if the text needs no more.

        A round follows from the method and the text alone, never from the batch.
        """
        converged = self.requested > 0 and self.attribution.converged
        total = self.maths.method.total_draws(self.requested, converged=converged)
        if total == self.requested:
            return None
        draws = Draws(self, range(self.requested, total))
        self.requested, self._scores = total, None
        return draws

    def add(self, values: Tensor, *, flips: int) -> None:
        """Add draws in the order of their numbers.

        The first blocks are single draws; a later draw is added to one of them, by its number.

        Args:
            values: What the draws contribute, [D, L, H].
            flips: How many of their passes flipped the label.
        """
        self.made += len(values)
        self.flips += flips
        self._blocks.append(values)
        limit = block_limit(self.maths.method)
        if self.made > limit:
            every = torch.cat(self._blocks)
            kept, later = every[:limit], every[limit:]
            numbers = torch.arange(self.made - len(later), self.made, device=every.device)
            self._blocks = [kept.index_add(0, numbers % limit, later)]

    @property
    def round_complete(self) -> bool:
        """Whether every draw that was queued is made."""
        return self.made == self.requested

    @property
    def attribution(self) -> Attribution:
        """The scores and errors of the draws so far."""
        return self._computed().attribution

    def raw(self) -> Tensor:
        """Return raw scores [1 + K, L]: of all draws and, with several blocks, without each one."""
        return self._computed().raw

    def _computed(self) -> "Scores":
        if self._scores is None:
            compute_scores([self])
        assert self._scores is not None  # noqa: S101 - compute_scores has set it
        return self._scores

    @property
    def passes(self) -> int:
        """Passes made, the clean pass not counted."""
        return self.made * self.maths.method.passes_per_draw

    @property
    def blocks(self) -> Tensor:
        """Sums [K, L, H] of contributions, each of one draw while there are few draws."""
        return torch.cat(self._blocks)


@dataclass(frozen=True, slots=True)
class Scores:
    """What the draws of a text add up to.

    Attributes:
        raw: Raw scores [1 + K, L] on the CPU: of all draws, then without each of K blocks.
        attribution: The normalised scores, with their errors where draws are random.
    """

    raw: Tensor
    attribution: Attribution


def compute_scores(accumulators: Iterable[Accumulator]) -> None:
    """Compute the scores of texts from their draws so far.

    Texts with the same length and number of draws are stacked: a dozen small operations a text cost
    a GPU more time than the passes.
    """
    alike: dict[tuple[int, int], list[Accumulator]] = {}
    for each in accumulators:
        alike.setdefault((each.made, len(each.clean.encoding)), []).append(each)
    for group in alike.values():
        _compute_stacked(group)


def _compute_stacked(group: Sequence[Accumulator]) -> None:
    """Compute scores of texts of one length, in halves where memory runs out."""
    raw = _raw_scores(group)
    if raw is None:
        half = len(group) // 2
        _compute_stacked(group[:half])
        _compute_stacked(group[half:])
        return
    for each, *scores in zip(group, raw, _attributions(group, raw), strict=True):
        each._scores = Scores(*scores)  # noqa: SLF001 - the accumulator's own cache


def mean_contributions(group: Sequence[Accumulator]) -> Tensor:
    """Return means [N, 1 + K, L, H] of N texts with the same length and number of draws.

    The first is over all draws, the others over all draws but those of one of the K blocks; with a
    single block there is only the first.
    """
    made = group[0].made
    blocks = torch.stack([each.blocks for each in group])
    total = blocks.sum(dim=1, keepdim=True)
    count = blocks.shape[1]
    if count == 1:
        return total / made
    sizes = [len(range(number, made, count)) for number in range(count)]
    rest = torch.tensor([made - size for size in sizes], device=blocks.device)[:, None, None]
    return torch.cat((total / made, (total - blocks) / rest), dim=1)


def _raw_scores(group: Sequence[Accumulator]) -> Tensor | None:
    """Return raw scores [N, 1 + K, L], or None if memory runs out for so many at once."""
    maths = group[0].maths
    reduction = None if maths.reduction is None else REDUCTIONS[maths.reduction]
    try:
        factors = torch.stack([each.clean.factor for each in group])[:, None]
        return maths.method.raw_scores(mean_contributions(group), factors, reduction).cpu()
    except (RuntimeError, MemoryError) as error:
        if len(group) == 1 or not is_out_of_memory(error):
            raise
    return None


def _attributions(group: Sequence[Accumulator], raw: Tensor) -> Iterator[Attribution]:
    """Yield the attribution of each text, from raw scores [N, 1 + K, L]."""
    method = group[0].maths.method
    normal = normalised(raw)
    scores, without = normal[:, 0], normal[:, 1:]
    errors = standard_errors(without, scores) if without.shape[1] > 1 else None
    within = torch.ones(len(group), dtype=torch.bool)
    if errors is not None and method.tolerance_for_auto is not None:
        largest = scores.abs().amax(dim=-1)
        within = errors.amax(dim=-1) <= method.tolerance_for_auto * largest
    errors = with_dtype_error(errors, scores, share=group[0].dtype_error)
    listed = [None] * len(group) if errors is None else map(tuple, errors.tolist())
    for each, own_scores, own_errors, converged in zip(
        group, scores.tolist(), listed, within.tolist(), strict=True
    ):
        yield attribution_of(
            [each], scores=tuple(own_scores), errors=own_errors, converged=converged
        )


def attribution_of(
    parts: Sequence[Accumulator],
    *,
    scores: tuple[float, ...],
    errors: tuple[float, ...] | None,
    converged: bool,
) -> Attribution:
    """Return the attribution of a text and target, with the passes that its parts took.

    Args:
        parts: The accumulators of its windows; one for a text in a single window.
        scores: One score a token.
        errors: Their standard errors, or None without an estimate.
        converged: Whether the errors are within the tolerance.
    """
    method = parts[0].maths.method
    passes = sum(part.passes for part in parts)
    return Attribution(
        scores=scores,
        errors=errors,
        samples=max(part.passes for part in parts) if method.is_random else None,
        flip_rate=sum(part.flips for part in parts) / passes if method.is_random else None,
        evaluations=passes * method.needs.value,
        converged=converged,
    )


@dataclass(frozen=True, slots=True)
class Draws:
    """Consecutive draws of one text and target; the item that batches are filled with."""

    accumulator: Accumulator
    numbers: range

    @property
    def length(self) -> int:
        """Tokens of the text."""
        return len(self.accumulator.clean.encoding)

    @property
    def passes_together(self) -> int:
        """Number of passes of one draw, which stay in one batch."""
        return self.accumulator.maths.method.passes_per_draw

    @property
    def passes(self) -> int:
        """Number of passes of all draws."""
        return len(self.numbers) * self.passes_together

    def split(self, passes: int) -> "tuple[Draws, Draws]":
        """Return the draws of the first `passes` passes, and the rest."""
        count = passes // self.passes_together
        first, rest = self.numbers[:count], self.numbers[count:]
        return replace(self, numbers=first), replace(self, numbers=rest)


def evaluate_draws(batch: Sequence[Draws], classifier: Classifier) -> DrawResults:
    """Return what the draws of a batch contribute; nothing is added up yet.

    Args:
        batch: Draws that fit into one batch.
        classifier: The model or a replica of it.
    """
    maths = batch[0].accumulator.maths
    requests = [
        PassRequest(draws.accumulator.clean, draws.accumulator.target, len(draws.numbers))
        for draws in batch
    ]
    numbers = [number for draws in batch for number in draws.numbers]
    return maths.method.evaluate(
        DrawBatch(requests, numbers), classifier, objective=maths.objective
    )


def add_results(batch: Sequence[Draws], results: DrawResults) -> list[Accumulator]:
    """Add a batch's results to its texts; return the texts whose round is complete.

    Args:
        batch: The draws that were evaluated.
        results: What they contribute, in the same order.
    """
    first = 0
    for draws in batch:
        own = slice(first, first + len(draws.numbers))
        flips = sum(results.flips[own])
        draws.accumulator.add(results.values[own, : draws.length], flips=flips)
        first = own.stop
    complete = {id(d.accumulator): d.accumulator for d in batch if d.accumulator.round_complete}
    compute_scores(complete.values())
    return [*complete.values()]
