"""The parts of a batch of texts, and what their draws have added up to.

A part is one target of one window of a text: the unit for which F is fixed and draws are made. All
parts of a batch have made the same number of draws.

Shapes: M parts, K blocks of draws, L tokens of the longest window, H dimensions of the embedding, W
numbers that are kept for a token (H, or 1: see `reduction`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.draw_batch import DrawBatch
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.reduction import REDUCTIONS, Reduction
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import to_device
from saliency_cli.model.heads import Targets
from saliency_cli.model.passes import CleanPasses
from saliency_cli.model.token_batch import join_padded, padded_to

MAX_BLOCKS = 32
"""Sums kept per part for the jackknife; with more draws than that, each is the sum of several."""


def block_limit(method: Method) -> int:
    """Return how many sums of draws are kept per part: one if there are no errors to estimate."""
    return MAX_BLOCKS if method.is_random else 1


def reduction_of(maths: Maths) -> Reduction | None:
    """Return the reduction of a run, or None for a method without one."""
    return None if maths.reduction is None else REDUCTIONS[maths.reduction]


def bytes_per_token(maths: Maths, *, width: int) -> int:
    """Return the bytes that a token of a part holds between rounds, if no part converges.

    Args:
        maths: What is computed.
        width: H, the dimensions of the embedding.
    """
    total = more = 0
    while total < (more := maths.method.total_draws(total, converged=False)):
        total = more
    reduction = reduction_of(maths)
    one_number = reduction is None or reduction.is_linear
    sums = min(total, block_limit(maths.method)) * (8 if one_number else 4 * width)
    return 4 * width + sums


@dataclass(frozen=True, slots=True)
class Parts:
    """M parts with the sums of their draws.

    Attributes:
        clean: The clean passes of the windows.
        windows: The window of each part, its number in `clean`, [M], on the CPU.
        targets: What F is about, for each part.
        made: Draws that were added to each part.
        flips: Passes of each part that predicted another label than the clean pass, [M], on the
            CPU.
        sums: Sums [M, K, L, W] of contributions, each of one draw while there are few; None before
            the first draw.
    """

    clean: CleanPasses
    windows: Tensor
    targets: Targets
    made: int
    flips: Tensor
    sums: Tensor | None = None

    @classmethod
    def start(cls, clean: CleanPasses, windows: Sequence[int], targets: Targets) -> Self:
        """Return parts without draws.

        Args:
            clean: The clean passes of the windows.
            windows: The window of each part.
            targets: What F is about, for each part.
        """
        flips = torch.zeros(len(windows), dtype=torch.long)
        return cls(clean, torch.tensor(windows, dtype=torch.long), targets, 0, flips)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each part's window, [M], on the CPU."""
        return self.clean.tokens.lengths[self.windows]

    def select(self, index: Tensor) -> Self:
        """Return some parts, with a window of its own for each.

        Args:
            index: Their numbers [N], on the CPU.
        """
        clean, sums = self.clean.select(self.windows[index]), self.sums
        if sums is not None:
            sums = sums[to_device(index, sums.device)][:, :, : clean.tokens.longest]
        return replace(
            self,
            clean=clean,
            windows=torch.arange(len(index)),
            targets=self.targets.select(index),
            flips=self.flips[index],
            sums=sums,
        )

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the parts of several batches as one; all have made the same number of draws."""
        if len(parts) == 1:
            return parts[0]
        windows, first = [], 0
        for each in parts:
            windows.append(each.windows + first)
            first += len(each.clean.tokens)
        sums = [each.sums for each in parts if each.sums is not None]
        return cls(
            CleanPasses.join([each.clean for each in parts]),
            torch.cat(windows),
            Targets.join([each.targets for each in parts]),
            parts[0].made,
            torch.cat([each.flips for each in parts]),
            join_padded(sums, dim=2) if sums else None,
        )

    def with_draws(self, total: int, classifier: Classifier, maths: Maths, budget: Budget) -> Self:
        """Return the parts with more draws, made in as many batches as the budget needs.

        Args:
            total: Draws of each part afterwards.
            classifier: The model or a replica of it.
            maths: What is computed.
            budget: Tokens of a batch.
        """
        method, limit = maths.method, block_limit(maths.method)
        sums, flips = None, self.flips.clone()
        for parts, batch in self._draws(total, method.passes_per_draw, budget):
            results = method.evaluate(batch, classifier, objective=maths.objective)
            flips.index_add_(0, parts, results.flips)
            added = method.contributions(results.values, batch.factors(), reduction_of(maths))
            if sums is None:
                sums = self._room(added, blocks=min(total, limit))
            # The first blocks are single draws; a later draw is added to one of them by its number.
            blocks = parts * sums.shape[1] + batch.numbers % limit
            flat = sums.view(-1, *sums.shape[2:])[:, : added.shape[1]]
            flat.index_add_(0, to_device(blocks, sums.device), added)
        return replace(self, made=total, flips=flips, sums=sums)

    def _room(self, added: Tensor, *, blocks: int) -> Tensor:
        """Return the sums so far with room for more blocks; zeros before the first draw.

        Args:
            added: What a batch of draws adds, [D, L, W].
            blocks: K afterwards.
        """
        if self.sums is not None:
            return padded_to(self.sums, blocks, dim=1).clone()
        return added.new_zeros(len(self), blocks, self.clean.tokens.longest, added.shape[-1])

    def _draws(self, total: int, passes: int, budget: Budget) -> Iterator[tuple[Tensor, DrawBatch]]:
        """Yield the draws up to `total` in batches, longest windows first, with each draw's part.

        Args:
            total: Draws of each part afterwards.
            passes: Passes of a draw.
            budget: Tokens of a batch.
        """
        count = total - self.made
        lengths = self.lengths.repeat_interleave(count)
        order = lengths.argsort(descending=True, stable=True)
        for size in budget.divide(lengths[order].tolist(), passes=passes):
            numbers, order = order[:size], order[size:]
            parts = numbers // count
            batch = DrawBatch(
                self.clean,
                self.windows[parts],
                self.targets.select(parts),
                self.made + numbers % count,
            )
            yield parts, batch
