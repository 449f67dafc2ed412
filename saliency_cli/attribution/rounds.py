"""A round of draws: the first one of some texts, with their clean passes, or a later one of parts.

What a round returns follows from its texts, or parts, and the budget alone, and running it changes
nothing that it is given. So it can run in any thread, and again with fewer tokens in a batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.parts import Parts
from saliency_cli.attribution.scores import Scores, compute_scores
from saliency_cli.attribution.text_state import ActiveText, EncodedRow, PartKey, PartResult
from saliency_cli.explanations import WordCheck
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import Targets, choose_targets, predict
from saliency_cli.model.output_logits import check_width
from saliency_cli.model.passes import CleanPasses, clean_passes, token_batch
from saliency_cli.records import Encoding, Row


@dataclass(frozen=True, slots=True)
class PartBatch:
    """Parts that have made the same number of draws, each with the text that it belongs to."""

    keys: tuple[PartKey, ...]
    parts: Parts

    def select(self, numbers: Sequence[int]) -> Self:
        """Return the parts with these numbers."""
        index = torch.tensor(numbers, dtype=torch.long)
        return type(self)(tuple(self.keys[n] for n in numbers), self.parts.select(index))

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Return the parts of several batches as one."""
        keys = tuple(key for batch in batches for key in batch.keys)
        return cls(keys, Parts.join([batch.parts for batch in batches]))


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What a round gives.

    Attributes:
        active: The texts that were predicted in this round; none in a later round.
        results: The parts that are finished, each with its result.
        unfinished: The parts that need more draws, or None.
        next_total: Draws of each unfinished part after the next round.
        checks: The checks of texts, by the ordinal of their row (`attribution.word_checks`).
    """

    active: Sequence[ActiveText]
    results: Sequence[tuple[PartKey, PartResult]]
    unfinished: PartBatch | None = None
    next_total: int = 0
    checks: Mapping[int, tuple[WordCheck, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FirstRound:
    """Clean passes of texts, and the first draws of their parts."""

    texts: tuple[EncodedRow, ...]

    def run(self, classifier: Classifier, maths: Maths, budget: Budget) -> RoundResult:
        """Return the predictions and what the first draws give.

        Args:
            classifier: The model or a replica of it.
            maths: What is computed.
            budget: Tokens of a batch.
        """
        clean = self._clean_passes(classifier, maths, budget)
        active, keys = self._activate(clean, classifier, maths)
        if not keys:
            return RoundResult(active, ())
        targets = Targets.of([key.active.targets[key.target] for key in keys])
        first_windows = {
            id(each): first for each, first in zip(active, self._firsts(), strict=True)
        }
        windows = [first_windows[id(key.active)] + key.window for key in keys]
        total = maths.method.total_draws(0, converged=False)
        batch = PartBatch(tuple(keys), Parts.start(clean, windows, targets))
        return replace(LaterRound(batch, total).run(classifier, maths, budget), active=active)

    def _clean_passes(self, classifier: Classifier, maths: Maths, budget: Budget) -> CleanPasses:
        windows = [
            (text.row, window.encoding) for text in self.texts for window in text.encoded.windows
        ]
        size = max(1, budget.tokens // max(len(encoding) for _, encoding in windows))
        clean = CleanPasses.join(
            [
                prepared_passes(classifier, maths.method, windows[first : first + size])
                for first in range(0, len(windows), size)
            ]
        )
        check_width(clean.logits, labels=len(classifier.labels))
        return clean

    def _firsts(self) -> Iterator[int]:
        """Yield the number of the first window of each text."""
        first = 0
        for text in self.texts:
            yield first
            first += text.passes

    def _activate(
        self, clean: CleanPasses, classifier: Classifier, maths: Maths
    ) -> tuple[list[ActiveText], list[PartKey]]:
        """Return the texts with their predictions, and the keys of their parts."""
        logits = _mean_logits(clean.logits, [text.passes for text in self.texts])
        predictions = predict(logits, labels=classifier.labels, head=classifier.head)
        active = [
            ActiveText(
                text,
                prediction,
                choose_targets(
                    prediction, text.row.gold, choice=maths.target, head=classifier.head
                ),
            )
            for text, prediction in zip(self.texts, predictions, strict=True)
        ]
        keys = [
            PartKey(each, target, window)
            for each in active
            for target in range(len(each.targets))
            for window in range(each.text.passes)
        ]
        return active, keys

    @property
    def encoded(self) -> list[EncodedRow]:
        """The texts of the round."""
        return [*self.texts]

    def only(self, texts: Sequence[EncodedRow]) -> Self:
        """Return the round of some of its texts."""
        return replace(self, texts=tuple(texts))

    def with_stand_ins(
        self, replaced: dict[int, EncodedRow], _classifier: Classifier
    ) -> "FirstRound":
        """Return the round with other encodings of some texts, by their position."""
        return FirstRound(tuple(replaced.get(n, text) for n, text in enumerate(self.texts)))


def prepared_passes(
    classifier: Classifier, method: Method, windows: Sequence[tuple[Row, Encoding]]
) -> CleanPasses:
    """Return the clean passes of some texts with what a method needs beside them.

    Args:
        classifier: The model.
        method: The method.
        windows: The row and the tokens of each text, or of each window of it.
    """
    rows, encodings = zip(*windows, strict=True)
    clean = clean_passes(classifier, token_batch(encodings, classifier))
    return method.prepare(clean, rows, encodings, classifier)


def _mean_logits(logits: Tensor, windows: Sequence[int]) -> Tensor:
    """Return the mean logits [N, C] of N texts.

    Args:
        logits: The logits of their windows, [W, C].
        windows: The number of windows of each text.
    """
    if len(windows) == len(logits):
        return logits
    counts = torch.tensor(windows)
    owners = torch.arange(len(windows)).repeat_interleave(counts)
    sums = torch.zeros(len(windows), logits.shape[1]).index_add_(0, owners, logits)
    return sums / counts[:, None]


@dataclass(frozen=True, slots=True)
class LaterRound:
    """More draws of parts.

    Attributes:
        batch: The parts.
        total: Draws of each part afterwards.
    """

    batch: PartBatch
    total: int

    def run(self, classifier: Classifier, maths: Maths, budget: Budget) -> RoundResult:
        """Return what the draws so far give.

        Args:
            classifier: The model or a replica of it.
            maths: What is computed.
            budget: Tokens of a batch.
        """
        parts = self.batch.parts.with_draws(self.total, classifier, maths, budget)
        scores = compute_scores(parts, maths, classifier)
        converged = scores.converged.tolist()
        totals = [maths.method.total_draws(self.total, converged=each) for each in converged]
        going_on = [number for number, total in enumerate(totals) if total > self.total]
        steps = parts.steps_per_draw(maths.method)
        results = _results(self.batch.keys, parts, scores, steps=steps, skip={*going_on})
        if not going_on:
            return RoundResult((), results)
        unfinished = PartBatch(self.batch.keys, parts).select(going_on)
        return RoundResult((), results, unfinished, totals[going_on[0]])

    @property
    def encoded(self) -> list[EncodedRow]:
        """The texts of the round, each once."""
        return [*{id(key.active): key.active.text for key in self.batch.keys}.values()]

    def only(self, texts: Sequence[EncodedRow]) -> Self:
        """Return the round of some of its texts."""
        kept = {text.row.ordinal for text in texts}
        numbers = [n for n, key in enumerate(self.batch.keys) if key.ordinal in kept]
        return replace(self, batch=self.batch.select(numbers))

    def with_stand_ins(
        self, replaced: dict[int, EncodedRow], classifier: Classifier
    ) -> "LaterRound":
        """Return the round with other encodings of some texts; their `ActiveText`s get them, too.

        Args:
            replaced: Position among `encoded` -> the text with its stand-in.
            classifier: The model.
        """
        by_ordinal = {text.row.ordinal: text for text in replaced.values()}
        for key in self.batch.keys:
            key.active.text = by_ordinal.get(key.ordinal, key.active.text)
        batch = self.batch.select(range(len(self.batch.keys)))
        encodings = [key.active.text.encoded.windows[key.window].encoding for key in batch.keys]
        clean = replace(batch.parts.clean, tokens=token_batch(encodings, classifier))
        return replace(self, batch=replace(batch, parts=replace(batch.parts, clean=clean)))


def _results(
    keys: Sequence[PartKey], parts: Parts, scores: Scores, *, steps: Tensor, skip: set[int]
) -> list[tuple[PartKey, PartResult]]:
    """Return the results of all parts but some, as Python's numbers."""
    lengths, flips = parts.lengths.tolist(), parts.flips.tolist()
    shares, converged = scores.shares.tolist(), scores.converged.tolist()
    errors = None if scores.errors is None else scores.errors.tolist()
    complete = None if scores.completeness is None else scores.completeness.tolist()
    evaluations = (steps * parts.made).tolist()
    return [
        (
            key,
            PartResult(
                shares[n][:length],
                None if errors is None else errors[n][:length],
                scores.raw[n, :, :length],
                parts.made,
                evaluations[n],
                flips[n],
                converged[n],
                None if complete is None else (complete[n][0], complete[n][1]),
            ),
        )
        for n, (key, length) in enumerate(zip(keys, lengths, strict=True))
        if n not in skip
    ]
