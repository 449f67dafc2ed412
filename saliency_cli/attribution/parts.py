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
from saliency_cli.attribution.units import unit_counts
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import to_device
from saliency_cli.model.heads import Targets
from saliency_cli.model.passes import CleanPasses
from saliency_cli.model.token_batch import join_padded, padded_to


def block_limit(method: Method) -> int:
    """Return how many sums of draws are kept per part: one if there are no errors to estimate."""
    return method.most_blocks if method.is_random else 1


def reduction_of(maths: Maths) -> Reduction | None:
    """Return the reduction of a run, or None for a method without one."""
    return None if maths.reduction is None else REDUCTIONS[maths.reduction]


def bytes_per_token(maths: Maths, *, width: int, longest: int) -> int:
    """Return the bytes that a token of a part holds between rounds, if no part converges.

    Args:
        maths: What is computed.
        width: H, the dimensions of the embedding.
        longest: The largest number of tokens of a text.
    """
    total = more = 0
    while total < (more := maths.method.total_draws(total, converged=False)):
        total = more
    kept = maths.method.bytes_per_token(reduction_of(maths), width=width, longest=longest)
    return 4 * width + min(total, block_limit(maths.method)) * kept


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
            _joined_sums(sums) if sums else None,
        )

    def steps_per_draw(self, method: Method) -> Tensor:
        """Return the steps that a draw of each part is divided into, [M], on the CPU."""
        units = self.clean.units
        if units is None:
            return torch.ones_like(self.windows)
        return method.steps_per_draw(unit_counts(units)[self.windows])

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
        for parts, batch in self._draws(total, method, budget):
            results = method.evaluate(batch, classifier, objective=maths.objective)
            flips.index_add_(0, parts, results.flips)
            added = method.contributions(results.values, batch.factors, reduction_of(maths))
            if sums is None:
                sums = self._room(added, blocks=min(total, limit))
            # The first blocks are single draws; a later draw is added to one of them by its number.
            blocks = parts * sums.shape[1] + batch.numbers % limit
            flat = sums.view(-1, *sums.shape[2:])[:, : added.shape[1], : added.shape[2]]
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

    def _draws(
        self, total: int, method: Method, budget: Budget
    ) -> Iterator[tuple[Tensor, DrawBatch]]:
        """Yield the draws up to `total` in batches, longest windows first, with each line's part.

        Args:
            total: Draws of each part afterwards.
            method: The method, which says how many steps a draw has.
            budget: Tokens of a batch.
        """
        each_steps = self.steps_per_draw(method)
        lines = each_steps * (total - self.made)
        if method.shares_passes:
            lines = lines.where(self._first_of_windows(), 0)
        owners = torch.arange(len(self)).repeat_interleave(lines)
        numbers = torch.arange(len(owners)) - (lines.cumsum(0) - lines)[owners]
        for chosen in budget.batches(self.lengths[owners], passes=method.passes_per_draw):
            evaluations, parts = self._lines(owners[chosen], method)
            steps, number = each_steps[parts], numbers[chosen][evaluations]
            batch = DrawBatch(
                self.clean,
                self.windows[parts],
                self.targets.select(parts),
                self.made + number // steps,
                number % steps,
                evaluations,
            )
            yield parts, batch

    def _first_of_windows(self) -> Tensor:
        """Return whether a part is the first one of its window, [M]."""
        first = {window: part for part, window in reversed([*enumerate(self.windows.tolist())])}
        found = torch.zeros(len(self), dtype=torch.bool)
        found[[*first.values()]] = True
        return found

    def _lines(self, owners: Tensor, method: Method) -> tuple[Tensor, Tensor]:
        """Return the evaluation and the part of each line of a batch, [D].

        Args:
            owners: The part of each evaluation, the first of its window if parts share passes.
            method: The method.
        """
        if not method.shares_passes:
            return torch.arange(len(owners)), owners
        same = self.windows == self.windows[owners][:, None]
        evaluations, parts = same.nonzero(as_tuple=True)
        return evaluations, parts


def _joined_sums(sums: Sequence[Tensor]) -> Tensor:
    """Return the sums of several batches as one, padded in L and in W."""
    widest = max(each.shape[3] for each in sums)
    return join_padded([padded_to(each, widest, dim=3) for each in sums], dim=2)
