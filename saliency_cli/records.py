"""The dataclasses that travel from room to room: Row -> Encoding -> Explanation -> record."""

from dataclasses import dataclass
from typing import Any, TypeAlias

SCHEMA = 1

Record: TypeAlias = dict[str, Any]
"""One line of `records/`, as JSON reads it."""


@dataclass(frozen=True, slots=True)
class RowPosition:
    """Where a row of the input begins: its `ordinal`, its first byte, unpacked, and its line."""

    ordinal: int
    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """One input row that can be explained; `size` is the bytes of input that it took."""

    ordinal: int
    line: int
    id: str | None
    text: str
    gold: str | None = None
    size: int = 0
    pair: str | None = None


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

    `offsets` are code points of the untouched text, or of its pair where `segments` has a 1; a
    special token has (0, 0).
    """

    ids: tuple[int, ...]
    type_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    special: tuple[bool, ...]
    segments: tuple[int, ...]
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a text that the model reads at once, with its tokens' positions in the text."""

    encoding: Encoding
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text with each token once, and the windows that the model reads it in."""

    whole: Encoding
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of the clean text: a probability per label, in the labels' order.

    A regression has no label and no probability, but a `value`.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    predicted: int | None
    value: float | None = None

    def fields(self) -> Record:
        """Return the record's fields."""
        probabilities = [_rounded(value) for value in self.probabilities]
        found = self.predicted
        fields: Record = {
            "predicted": None if found is None else self.labels[found],
            "probability": None if found is None else probabilities[found],
            "probabilities": dict(zip(self.labels, probabilities, strict=False)),
        }
        return fields if self.value is None else {**fields, "value": _rounded(self.value)}


@dataclass(frozen=True, slots=True)
class Attribution:
    """One number a token, and how sure it is: `errors` are standard errors of `scores`."""

    scores: tuple[float, ...]
    errors: tuple[float, ...] | None
    samples: int
    flip_rate: float
    converged: bool = True

    def fields(self, target: str, *, special: tuple[bool, ...]) -> Record:
        """Return the record's fields."""
        scores = [_rounded(value) for value in self.scores]
        shares = zip(map(abs, scores), special, strict=True)
        return {
            "target": target,
            "scores": scores,
            "errors": None if self.errors is None else [_rounded(value) for value in self.errors],
            "special_share": _rounded(sum(share for share, is_special in shares if is_special)),
            "samples": self.samples,
            "flip_rate": _rounded(self.flip_rate),
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """A row with its prediction and, by target, the saliency of its tokens."""

    row: Row
    encoding: Encoding
    prediction: Prediction
    attributions: dict[str, Attribution]
    windows: int = 1

    @property
    def attribution(self) -> Attribution:
        """Of the first target, which the record shows first."""
        return next(iter(self.attributions.values()))

    @property
    def converged(self) -> bool:
        """Whether the errors of every target are as small as was asked for."""
        return all(attribution.converged for attribution in self.attributions.values())

    def record(self) -> Record:
        """Return the row's line in `records/`; floats keep the seven digits that float32 has.

        Only what has them holds `segments`, `others` and `value`.
        """
        special = self.encoding.special
        first, *others = (
            attribution.fields(target, special=special)
            for target, attribution in self.attributions.items()
        )
        record = {
            "schema": SCHEMA,
            "status": "ok",
            "ordinal": self.row.ordinal,
            "id": self.row.id,
            "text": self.row.text,
            "pair": self.row.pair,
            "gold": match_label(self.row.gold, self.prediction.labels),
            "tokens": list(self.encoding.tokens),
            "offsets": [list(offset) for offset in self.encoding.offsets],
            "special": list(special),
            "truncated": self.encoding.truncated,
            "windows": self.windows,
            **self.prediction.fields(),
            **first,
        }
        if self.row.pair is not None:
            record["segments"] = list(self.encoding.segments)
        return {**record, "others": others} if others else record


def match_label(gold: str | None, labels: tuple[str, ...]) -> str | None:
    """Return the label that `gold` names, or counts as an index; else `gold` as it is."""
    if gold is None or gold in labels:
        return gold
    if gold.isdecimal() and gold.isascii() and int(gold[:9]) < len(labels) and len(gold) < 10:
        return labels[int(gold)]
    return gold


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")
