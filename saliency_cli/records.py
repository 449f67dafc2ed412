"""The dataclasses that travel between packages: Row -> Encoding -> Explanation -> record.

A record is a row's line in `records/`; docs/records.md describes it. L tokens in a text.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

SCHEMA = 2
"""Version of records and manifest. 2 adds `evaluations`; of a method that draws nothing at random
`errors`, `flip_rate` and `samples` are null."""

Record: TypeAlias = dict[str, Any]
"""One line of `records/`, as JSON reads it."""
_INDEX = re.compile(r"(?:LABEL_)?(?P<number>[0-9]{1,9})(?:\.0+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RowPosition:
    """Where a row of the input begins.

    Attributes:
        ordinal: The row's number, from 0.
        offset: Its first byte, counted in unpacked bytes.
        line: Its first line, from 1.
    """

    ordinal: int
    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Row:
    """One input row that can be explained.

    Attributes:
        ordinal: Its number in the input, from 0.
        line: Its first line in the file, from 1.
        id: Its id as a string, or None.
        text: The text as it was given.
        gold: The gold label as it was given, or None.
        size: Bytes of input that it took.
        pair: The second text of a pair, or None.
    """

    ordinal: int
    line: int
    id: str | None
    text: str
    gold: str | None = None
    size: int = 0
    pair: str | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """One input row that cannot be explained: a quarantined row.

    Attributes:
        ordinal: Its number in the input, from 0.
        line: Its first line in the file, from 1.
        id: Its id as a string, where it could be read.
        reason: Why it is quarantined.
        excerpt: The start of what it holds, with control characters escaped.
        size: Bytes of input that it took.
    """

    ordinal: int
    line: int
    id: str | None
    reason: str
    excerpt: str
    size: int = 0

    def record(self) -> Record:
        """Return the row's record."""
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

    Attributes:
        ids: Token ids.
        type_ids: Segment ids, for models that take them.
        tokens: The tokens as the tokenizer spells them.
        offsets: Code points [start, end) of the untouched text, or of its pair where `segments`
            has a 1; (0, 0) for a special token.
        special: Whether a token is special.
        segments: 0 for a token of the text, 1 for one of its pair.
        truncated: Whether the text was cut.
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
    """A text with each token once (`whole`), and the windows that the model reads it in."""

    whole: Encoding
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model predicts for the clean text.

    Attributes:
        labels: The model's labels.
        probabilities: One for each label, in their order; none of a regression.
        predicted: Index of the predicted label; None of a regression.
        value: The output of a regression; None otherwise.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    predicted: int | None
    value: float | None = None

    def fields(self) -> Record:
        """Return the prediction's fields of the record."""
        probabilities = _all_rounded(self.probabilities)
        index = self.predicted
        fields: Record = {
            "predicted": None if index is None else self.labels[index],
            "probability": None if index is None else probabilities[index],
            "probabilities": dict(zip(self.labels, probabilities, strict=False)),
        }
        return fields if self.value is None else {**fields, "value": _rounded(self.value)}


@dataclass(frozen=True, slots=True)
class Attribution:
    """One score a token for one target.

    Attributes:
        scores: Shares of the text's total, L numbers whose absolute values sum to 1.
        errors: Their standard errors; None without at least two random draws.
        samples: Random passes made; None for a method that draws nothing at random.
        flip_rate: Share of the random passes that predict another label; None likewise.
        evaluations: Forward passes made, the clean pass not counted; a forward pass with its
            backward pass counts 3.
        converged: Whether the errors are within the tolerance of `--samples auto`.
        completeness: The sum of the raw scores and F(x) − F(baseline), of a method that promises
            that they are equal; else None.
    """

    scores: tuple[float, ...]
    errors: tuple[float, ...] | None
    samples: int | None
    flip_rate: float | None
    evaluations: int
    converged: bool = True
    completeness: tuple[float, float] | None = None

    def fields(self, target: str, *, special: tuple[bool, ...]) -> Record:
        """Return the target's fields of the record.

        Args:
            target: The target's name.
            special: Whether a token is special, for each token.
        """
        scores = _all_rounded(self.scores)
        shares = zip(map(abs, scores), special, strict=True)
        fields: Record = {
            "target": target,
            "scores": scores,
            "errors": None if self.errors is None else _all_rounded(self.errors),
            "special_share": _rounded(sum(share for share, is_special in shares if is_special)),
            "samples": self.samples,
            "flip_rate": None if self.flip_rate is None else _rounded(self.flip_rate),
            "evaluations": self.evaluations,
        }
        if self.completeness is not None:
            total, difference = map(_rounded, self.completeness)
            gap = _rounded(total - difference)
            fields["completeness"] = {"sum": total, "difference": difference, "gap": gap}
        return fields


@dataclass(frozen=True, slots=True)
class Explanation:
    """A row with its prediction and, for each target, the scores of its tokens."""

    row: Row
    encoding: Encoding
    prediction: Prediction
    attributions: dict[str, Attribution]
    windows: int = 1

    @property
    def attribution(self) -> Attribution:
        """The attribution of the first target, which the record shows first."""
        return next(iter(self.attributions.values()))

    @property
    def converged(self) -> bool:
        """Whether the errors of every target are within the tolerance."""
        return all(attribution.converged for attribution in self.attributions.values())

    def record(self) -> Record:
        """Return the row's record; floats keep the seven digits that float32 has.

        `segments` is there for pairs only, `others` for several targets, `value` for a regression.
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
    """Return the label that `gold` names; else `gold` itself.

    It names a label by its name, by the only one that differs in case and surrounding blanks, or by
    an index: `1`, `1.0` as data frames write it, or `LABEL_1`.

    Args:
        gold: A gold label as it was given, or None.
        labels: The model's labels.
    """
    if gold is None or gold in labels:
        return gold
    similar = [label for label in labels if _folded(label) == _folded(gold)]
    if len(similar) == 1:
        return similar[0]
    index = _INDEX.fullmatch(gold.strip())
    if index is None:
        return gold
    if index["number"] in labels:
        return index["number"]
    number = int(index["number"])
    return labels[number] if number < len(labels) and not similar else gold


def _folded(label: str) -> str:
    return label.strip().casefold()


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")


def _all_rounded(values: tuple[float, ...]) -> list[float]:
    """Return numbers with seven digits; one format for all of them takes a third of the time."""
    return [*map(float, ("%.7g " * len(values) % values).split())]
