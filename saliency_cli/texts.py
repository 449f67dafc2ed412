"""A row on its way through the engine: encoded, then begun, then finished."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import isfinite
from typing import TypeAlias

import torch

from saliency_cli.classifier import Classifier
from saliency_cli.draws import Pending
from saliency_cli.encoding import PAIR, TEXT, content
from saliency_cli.escapes import excerpt
from saliency_cli.heads import GOLD, choose_targets, predict
from saliency_cli.merging import merge
from saliency_cli.passes import Clean
from saliency_cli.records import Attribution, BadRow, Encoded, Explanation, Prediction, Row
from saliency_cli.reduction import with_rounding
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
class Begun:
    """A text that is predicted; for each target, what is under way in each of the windows."""

    text: Text
    prediction: Prediction
    parts: dict[str, list[Pending]]

    @property
    def pendings(self) -> list[Pending]:
        """All that is under way."""
        return [pending for parts in self.parts.values() for pending in parts]


def without_token(text: Text) -> str | None:
    """Say which part of a row the tokenizer finds nothing in, or None."""
    for name, segment in (("text", TEXT), ("pair", PAIR)):
        if (name == "text" or text.row.pair is not None) and not content(
            text.encoded.whole, segment
        ):
            return f"the {name} has no token"
    return None


def begin(text: Text, cleans: Sequence[Clean], *, classifier: Classifier, maths: Maths) -> Begun:
    """Predict a text from the mean logits of its windows, and pin what is explained of it."""
    logits = cleans[0].logits
    if len(cleans) > 1:
        logits = torch.stack([clean.logits for clean in cleans]).mean(dim=0)
    prediction = predict(logits, labels=classifier.labels, head=classifier.head)
    targets = choose_targets(prediction, text.row.gold, choice=maths.target, head=classifier.head)
    parts = {
        target.name: [Pending(clean, target, maths, classifier.rounding) for clean in cleans]
        for target in targets
    }
    return Begun(text, prediction, parts)


def finished(begun: Begun) -> Outcome:
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


def _attribution(encoded: Encoded, parts: Sequence[Pending]) -> Attribution:
    """Return the attribution of a text that was read in one window, or in several."""
    if len(parts) == 1:
        return parts[0].attribution
    scores, errors = merge(encoded, [part.raw() for part in parts])
    errors = with_rounding(errors, scores, share=parts[0].rounding)
    return Attribution(
        scores=tuple(scores.tolist()),
        errors=None if errors is None else tuple(errors.tolist()),
        samples=max(part.passes for part in parts),
        flip_rate=sum(part.flips for part in parts) / sum(part.passes for part in parts),
        settled=all(part.attribution.settled for part in parts),
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
