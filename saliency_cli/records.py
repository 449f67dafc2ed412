"""The dataclasses that travel from room to room: Row -> Encoding -> Explanation -> record."""

from dataclasses import dataclass
from typing import Any, TypeAlias

SCHEMA = 1

Record: TypeAlias = dict[str, Any]
"""One line of `records/`, as JSON reads it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One input row that can be explained; `size` is the bytes of input that it took."""

    ordinal: int
    line: int
    id: str | None
    text: str
    gold: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class BadRow:
    """One input row that cannot be explained, and why; `excerpt` is fit to be shown."""

    ordinal: int
    line: int
    id: str | None
    reason: str
    excerpt: str
    size: int = 0

    def record(self) -> Record:
        """Return the row's line in `records/`."""
        return {
            "schema": SCHEMA,
            "status": "quarantined",
            "ordinal": self.ordinal,
            "id": self.id,
            "line": self.line,
            "reason": self.reason,
            "excerpt": self.excerpt,
        }


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text as the model reads it: L tokens, none of them padding.

    `offsets` are code points of the untouched text; a special token has (0, 0).
    """

    ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    special: tuple[bool, ...]
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of the clean text: a probability per label, in the labels' order."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    predicted: int


@dataclass(frozen=True, slots=True)
class Attribution:
    """One number a token, and how sure it is: `errors` are standard errors of `scores`."""

    scores: tuple[float, ...]
    errors: tuple[float, ...] | None
    samples: int
    flip_rate: float
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Explanation:
    """A row with its prediction and the saliency of its tokens."""

    row: Row
    encoding: Encoding
    prediction: Prediction
    attribution: Attribution

    def record(self) -> Record:
        """Return the row's line in `records/`; floats keep the seven digits that float32 has."""
        labels, predicted = self.prediction.labels, self.prediction.predicted
        probabilities = [_rounded(value) for value in self.prediction.probabilities]
        scores = [_rounded(value) for value in self.attribution.scores]
        errors = self.attribution.errors
        special = self.encoding.special
        return {
            "schema": SCHEMA,
            "status": "ok",
            "ordinal": self.row.ordinal,
            "id": self.row.id,
            "text": self.row.text,
            "pair": None,
            "predicted": labels[predicted],
            "probability": probabilities[predicted],
            "probabilities": dict(zip(labels, probabilities, strict=True)),
            "target": labels[predicted],
            "gold": match_label(self.row.gold, labels),
            "tokens": list(self.encoding.tokens),
            "offsets": [list(offset) for offset in self.encoding.offsets],
            "special": list(special),
            "scores": scores,
            "errors": None if errors is None else [_rounded(value) for value in errors],
            "special_share": _rounded(
                sum(
                    abs(score)
                    for score, is_special in zip(scores, special, strict=True)
                    if is_special
                )
            ),
            "samples": self.attribution.samples,
            "flip_rate": _rounded(self.attribution.flip_rate),
            "truncated": self.encoding.truncated,
            "windows": 1,
        }


def match_label(gold: str | None, labels: tuple[str, ...]) -> str | None:
    """Return the label that `gold` names, or counts as an index; else `gold` as it is."""
    if gold is None or gold in labels:
        return gold
    if gold.isdecimal() and gold.isascii() and int(gold[:9]) < len(labels) and len(gold) < 10:
        return labels[int(gold)]
    return gold


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")
