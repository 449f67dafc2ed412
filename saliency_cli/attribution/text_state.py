"""A row on its way through the engine: encoded, then begun, then finished."""

from bisect import insort_left, insort_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import isfinite
from typing import TypeAlias

import torch

from saliency_cli.attribution.accumulator import Accumulator, Draws
from saliency_cli.attribution.reduction import with_rounding
from saliency_cli.attribution.windows import merge
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import GOLD, choose_targets, predict
from saliency_cli.model.passes import CleanPass
from saliency_cli.model.tokenization import PAIR, TEXT, count_text_tokens
from saliency_cli.records import Attribution, BadRow, Encoded, Explanation, Prediction, Row
from saliency_cli.safe_text import excerpt
from saliency_cli.settings import Maths

Outcome: TypeAlias = Explanation | BadRow


@dataclass(frozen=True, slots=True)
class Text:
    """A row that is encoded and waits for its clean passes, one for each of its windows."""

    row: Row
    encoded: Encoded

    @property
    def length(self) -> int:
        """Tokens of the longest window."""
        return max(len(window.encoding) for window in self.encoded.windows)

    @property
    def rows(self) -> int:
        """A clean pass is one row of a batch."""
        return len(self.encoded.windows)

    @property
    def grain(self) -> int:
        """Windows stay together: only all of them tell what is predicted."""
        return self.rows

    def split(self, rows: int) -> "tuple[Text, Text]":
        """Never asked for: the windows stay together."""
        raise AssertionError(rows)


@dataclass(slots=True)
class ActiveText:
    """A text that is predicted; for each target, what is under way in each of the windows."""

    text: Text
    prediction: Prediction
    parts: dict[str, list[Accumulator]]

    @property
    def pendings(self) -> list[Accumulator]:
        """All that is under way."""
        return [pending for parts in self.parts.values() for pending in parts]


def without_token(text: Text) -> str | None:
    """Say which part of a row the tokenizer finds nothing in, or None."""
    for name, segment in (("text", TEXT), ("pair", PAIR)):
        if (name == "text" or text.row.pair is not None) and not count_text_tokens(
            text.encoded.whole, segment
        ):
            return f"the {name} has no token"
    return None


def begin(
    text: Text, cleans: Sequence[CleanPass], *, classifier: Classifier, maths: Maths
) -> ActiveText:
    """Predict a text from the mean logits of its windows, and pin what is explained of it."""
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


def finished(begun: ActiveText) -> Outcome:
    """Return the explanation of a text whose draws are all made, or why there is none."""
    if not _finite(begun.prediction.probabilities, [begun.prediction.value]):
        return quarantined(begun.text.row, "the prediction is not finite")
    if not begun.parts:
        reason = "the gold label is missing, or is no label of the model"
        return quarantined(begun.text.row, reason)
    text = begun.text
    attributions = {
        target: _attribution(text.encoded, parts) for target, parts in begun.parts.items()
    }
    numbers = ((each.scores, each.errors or ()) for each in attributions.values())
    if not _finite(*chain.from_iterable(numbers)):
        return quarantined(text.row, "the gradient is not finite")
    return Explanation(text.row, text.encoded.whole, begun.prediction, attributions, text.rows)


def _finite(*numbers: Sequence[float | None]) -> bool:
    """Say whether all numbers that there are can be written as JSON."""
    return all(number is None or isfinite(number) for each in numbers for number in each)


def _attribution(encoded: Encoded, parts: Sequence[Accumulator]) -> Attribution:
    """Return the attribution of a text that was read in one window, or in several."""
    if len(parts) == 1:
        return parts[0].attribution
    scores, errors = merge(encoded, [part.raw() for part in parts])
    errors = with_rounding(errors, scores, share=parts[0].dtype_error)
    return Attribution(
        scores=tuple(scores.tolist()),
        errors=None if errors is None else tuple(errors.tolist()),
        samples=max(part.passes for part in parts),
        flip_rate=sum(part.flips for part in parts) / sum(part.passes for part in parts),
        converged=all(part.attribution.converged for part in parts),
    )


def quarantined(row: Row, reason: str) -> BadRow:
    """Return the row as one that is not explained."""
    return BadRow(row.ordinal, row.line, row.id, reason, excerpt(row.text), row.size)


def identity(row: Row, maths: Maths) -> object:
    """Return what makes two rows the same to the engine: their noise is then the same, too."""
    return row.text, row.pair, row.gold if maths.target.name == GOLD else None


def handed_to(row: Row, outcome: Outcome) -> Outcome:
    """Return the outcome of a row for another of the same text."""
    if isinstance(outcome, BadRow):
        return quarantined(row, outcome.reason)
    return replace(outcome, row=row)


@dataclass(frozen=True, slots=True)
class ActiveTexts:
    """The texts that are begun, and their draws still to be made, longest texts first."""

    queue: deque[Draws] = field(default_factory=deque)
    begun: dict[int, ActiveText] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens of the draws still to be made."""
        return sum(draws.rows * draws.length for draws in self.queue)

    def add(self, begun: ActiveText) -> None:
        """Queue the first draws of a text, of each of its targets and windows."""
        for pending in begun.pendings:
            self.begun[id(pending)] = begun
            first = pending.next_round()
            if first is not None:
                insort_right(self.queue, first, key=_longest_first)

    def go_on(self, pending: Accumulator) -> ActiveText | None:
        """Queue the next draws of what has made its last; return the text if it is done with."""
        if pending not in self:
            return None
        more = pending.next_round()
        if more is not None:
            self._put_first(more)
            return None
        begun = self.begun.pop(id(pending))
        return None if any(part in self for part in begun.pendings) else begun

    def rows(self, batch: Sequence[Draws]) -> list[int]:
        """Return the ordinals of the rows that draws are of."""
        begun = {id(draws.pending): self.begun[id(draws.pending)] for draws in batch}
        return [each.text.row.ordinal for each in begun.values()]

    def __contains__(self, pending: Accumulator) -> bool:
        """Whether a target of a text still waits for draws."""
        return id(pending) in self.begun

    def without_room(self, batch: Sequence[Draws], *, for_good: bool) -> Iterator[ActiveText]:
        """Put a batch back that memory ran out on; a text that is too much `for_good` is let go."""
        first = batch[0]
        if not for_good or len(batch) > 1 or first.rows > first.grain:
            for draws in reversed(batch):
                if draws.pending in self:
                    self._put_first(draws)
        elif first.pending in self:
            begun = self.begun[id(first.pending)]
            for pending in begun.pendings:
                self.begun.pop(id(pending), None)
            kept = [draws for draws in self.queue if draws.pending in self]
            self.queue.clear()
            self.queue.extend(kept)
            yield begun

    def _put_first(self, draws: Draws) -> None:
        """Put draws before all that are no longer."""
        insort_left(self.queue, draws, key=_longest_first)


def _longest_first(draws: Draws) -> int:
    return -draws.length
