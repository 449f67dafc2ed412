"""A row in the engine: encoded, then active (predicted, with draws to make), then finished."""

from bisect import insort_left, insort_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import isfinite
from typing import TypeAlias

import torch

from saliency_cli.attribution.accumulator import Accumulator, Draws, attribution_of
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.reduction import with_dtype_error
from saliency_cli.attribution.row_failures import stand_in
from saliency_cli.attribution.windows import merge
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import GOLD, choose_targets, predict
from saliency_cli.model.passes import CleanPass
from saliency_cli.model.tokenization import PAIR, TEXT, count_text_tokens
from saliency_cli.records import Attribution, BadRow, Encoded, Explanation, Prediction, Row
from saliency_cli.safe_text import excerpt

Outcome: TypeAlias = Explanation | BadRow


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A row and its tokens, before its clean passes, one for each of its windows.

    Attributes:
        row: The row.
        encoded: Its tokens.
        failure: Why the model fails on the text, whose windows then hold a stand-in; or None.
    """

    row: Row
    encoded: Encoded
    failure: str | None = None

    @property
    def length(self) -> int:
        """Tokens of the longest window."""
        return max(len(window.encoding) for window in self.encoded.windows)

    @property
    def passes(self) -> int:
        """Number of clean passes (on the unchanged text): one for each window."""
        return len(self.encoded.windows)

    @property
    def passes_together(self) -> int:
        """Number of passes of one job: all, since the prediction needs all windows."""
        return self.passes

    def replaced(self, ids: Sequence[int], *, failure: str) -> "EncodedRow":
        """Return the row with a stand-in for its text.

        Args:
            ids: Token ids of the stand-in.
            failure: Why the model fails on the text itself.
        """
        windows = tuple(
            replace(window, encoding=stand_in(window.encoding, ids))
            for window in self.encoded.windows
        )
        return replace(self, encoded=replace(self.encoded, windows=windows), failure=failure)

    def split(self, passes: int) -> "tuple[EncodedRow, EncodedRow]":
        """Raise AssertionError: windows stay together, so this is never called."""
        raise AssertionError(passes)


@dataclass(slots=True)
class ActiveText:
    """A text that is predicted and has draws to make.

    Attributes:
        text: The row and its tokens.
        prediction: From the mean logits of its windows.
        parts: Target -> the accumulator of each window.
    """

    text: EncodedRow
    prediction: Prediction
    parts: dict[str, list[Accumulator]]

    @property
    def accumulators(self) -> list[Accumulator]:
        """The accumulators of all targets and windows."""
        return [each for parts in self.parts.values() for each in parts]

    def replace_text(self, ids: Sequence[int], *, failure: str) -> None:
        """Make the draws that are left over a stand-in; see `EncodedRow.replaced`."""
        self.text = self.text.replaced(ids, failure=failure)
        for parts in self.parts.values():
            for part, window in zip(parts, self.text.encoded.windows, strict=True):
                part.clean = replace(part.clean, encoding=window.encoding)


def missing_part(text: EncodedRow) -> str | None:
    """Return why a row cannot be explained, if its text or its pair has no token; else None."""
    for name, segment in (("text", TEXT), ("pair", PAIR)):
        if (name == "text" or text.row.pair is not None) and not count_text_tokens(
            text.encoded.whole, segment
        ):
            return f"the {name} has no token"
    return None


def activate(
    text: EncodedRow, cleans: Sequence[CleanPass], *, classifier: Classifier, maths: Maths
) -> ActiveText:
    """Return a text with its prediction and an empty accumulator for each target and window.

    Args:
        text: The row and its tokens.
        cleans: The clean pass of each window.
        classifier: The model, whose labels and head give the logits their meaning.
        maths: What is computed, and for which target.
    """
    logits = cleans[0].logits
    if len(cleans) > 1:
        logits = torch.stack([clean.logits for clean in cleans]).mean(dim=0)
    prediction = predict(logits, labels=classifier.labels, head=classifier.head)
    targets = choose_targets(prediction, text.row.gold, choice=maths.target, head=classifier.head)
    parts = {
        target.name: [Accumulator(clean, target, maths, classifier.dtype_error) for clean in cleans]
        for target in targets
    }
    return ActiveText(text, prediction, parts)


def finish(active: ActiveText) -> Outcome:
    """Return the explanation of a text once all its draws are computed, or a quarantined row.

    Without any part there was no target: `--target gold`, and the gold label is unusable.
    """
    row = active.text.row
    if active.text.failure is not None:
        return quarantined(row, active.text.failure)
    if not _all_finite(active.prediction.probabilities, [active.prediction.value]):
        return quarantined(row, "the prediction is not finite")
    if not active.parts:
        return quarantined(row, "the gold label is missing, or is no label of the model")
    attributions = {
        target: _merged(active.text.encoded, parts) for target, parts in active.parts.items()
    }
    numbers = ((each.scores, each.errors or ()) for each in attributions.values())
    if not _all_finite(*chain.from_iterable(numbers)):
        return quarantined(row, "the gradient is not finite")
    encoded = active.text.encoded
    return Explanation(row, encoded.whole, active.prediction, attributions, len(encoded.windows))


def _all_finite(*groups: Sequence[float | None]) -> bool:
    """Return whether no number is infinite or NaN, which JSON cannot hold; None is no number."""
    return all(number is None or isfinite(number) for group in groups for number in group)


def _merged(encoded: Encoded, parts: Sequence[Accumulator]) -> Attribution:
    """Return the attribution of a text from the accumulators of its windows."""
    if len(parts) == 1:
        return parts[0].attribution
    scores, errors = merge(encoded, [part.raw() for part in parts])
    errors = with_dtype_error(errors, scores, share=parts[0].dtype_error)
    return attribution_of(
        parts,
        scores=tuple(scores.tolist()),
        errors=None if errors is None else tuple(errors.tolist()),
        converged=all(part.attribution.converged for part in parts),
    )


def quarantined(row: Row, reason: str) -> BadRow:
    """Return a row that is not explained.

    Args:
        row: The row.
        reason: Why, for the record and the page.
    """
    return BadRow(row.ordinal, row.line, row.id, reason, excerpt(row.text), row.size)


def same_text_key(row: Row, maths: Maths) -> object:
    """Return a key that two rows share if they get the same scores: same text, so same noise.

    Args:
        row: A row.
        maths: What is computed; the gold label counts where it is the target.
    """
    return row.text, row.pair, row.gold if maths.target.name == GOLD else None


def with_row(outcome: Outcome, row: Row) -> Outcome:
    """Return the outcome of a text for another row with the same text.

    Args:
        outcome: What became of the first such row.
        row: The other row.
    """
    if isinstance(outcome, BadRow):
        return quarantined(row, outcome.reason)
    return replace(outcome, row=row)


@dataclass(frozen=True, slots=True)
class ActiveTexts:
    """The active texts of a read-ahead, and the queue of their draws, longest texts first.

    Attributes:
        queue: Draws still to be made.
        texts: id() of an accumulator -> its text, until the accumulator needs no more draws.
    """

    queue: deque[Draws] = field(default_factory=deque)
    texts: dict[int, ActiveText] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens of the queued draws."""
        return sum(draws.passes * draws.length for draws in self.queue)

    def add(self, active: ActiveText) -> None:
        """Queue the first draws of a text, for each of its targets and windows."""
        for accumulator in active.accumulators:
            self.texts[id(accumulator)] = active
            first = accumulator.next_round()
            if first is not None:
                insort_right(self.queue, first, key=_longest_first)

    def advance(self, accumulator: Accumulator) -> ActiveText | None:
        """Queue the next round of draws, or return the text if all its targets are finished."""
        if accumulator not in self:
            return None
        draws = accumulator.next_round()
        if draws is not None:
            self._put_first(draws)
            return None
        active = self.texts.pop(id(accumulator))
        return None if any(part in self for part in active.accumulators) else active

    def ordinals(self, batch: Sequence[Draws]) -> list[int]:
        """Return the ordinals of the rows that a batch of draws belongs to."""
        active = {id(draws.accumulator): self.texts[id(draws.accumulator)] for draws in batch}
        return [each.text.row.ordinal for each in active.values()]

    def __contains__(self, accumulator: Accumulator) -> bool:
        """Whether an accumulator has draws left to make."""
        return id(accumulator) in self.texts

    def put_back(self, batch: Sequence[Draws], *, give_up: bool) -> Iterator[ActiveText]:
        """Queue a batch again after memory ran out; yield the text that is given up, if any.

        Args:
            batch: The draws that failed.
            give_up: Whether the batch had all the memory: if it then was a single draw, its text is
                too large and is removed.
        """
        first = batch[0]
        if not give_up or len(batch) > 1 or first.passes > first.passes_together:
            for draws in reversed(batch):
                if draws.accumulator in self:
                    self._put_first(draws)
        elif first.accumulator in self:
            active = self.texts[id(first.accumulator)]
            self.remove(active)
            yield active

    def by_text(self, batch: Sequence[Draws]) -> list[tuple[ActiveText, list[Draws]]]:
        """Return the texts of a batch, each with its draws; a text that was removed is left out."""
        found: dict[int, tuple[ActiveText, list[Draws]]] = {}
        for draws in batch:
            if draws.accumulator in self:
                active = self.texts[id(draws.accumulator)]
                found.setdefault(id(active), (active, []))[1].append(draws)
        return [*found.values()]

    def remove(self, active: ActiveText) -> None:
        """Remove a text and its queued draws."""
        for accumulator in active.accumulators:
            self.texts.pop(id(accumulator), None)
        kept = [draws for draws in self.queue if draws.accumulator in self]
        self.queue.clear()
        self.queue.extend(kept)

    def _put_first(self, draws: Draws) -> None:
        """Queue draws before all others of the same length or shorter."""
        insort_left(self.queue, draws, key=_longest_first)


def _longest_first(draws: Draws) -> int:
    return -draws.length
