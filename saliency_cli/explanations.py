"""What the model and a method give a row: prediction, scores, checks, and the record of all.

docs/records.md describes a record. L tokens in a text.
"""

import json
from dataclasses import dataclass

from saliency_cli.records import SCHEMA, Encoding, Record, Row, match_label, match_labels


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model predicts for the clean text.

    Attributes:
        labels: The model's labels.
        probabilities: One for each label, in their order; none of a regression.
        predicted: Index of the predicted label; None of a regression.
        value: The output of a regression; None otherwise.
        multi_label: Whether each label has a probability of its own.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    predicted: int | None
    value: float | None = None
    multi_label: bool = False

    def output(self, index: int) -> float:
        """Return the probability of a label, or the value of a regression.

        Args:
            index: The label's index.
        """
        return self.probabilities[index] if self.value is None else self.value

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

    def gold_fields(self, gold: str | None) -> Record:
        """Return the fields of the record about the gold label, or number of a regression.

        Args:
            gold: What was given, or None.
        """
        if self.predicted is None:
            return {"gold": gold}
        if not self.multi_label:
            return {"gold": match_label(gold, self.labels)}
        named = match_labels(gold, self.labels)
        if named is None:
            return {"gold": gold}
        shown = named[0] if len(named) == 1 else json.dumps(named, ensure_ascii=False)
        return {"gold": shown, "gold_labels": named}


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
class WordCheck:
    """What the model gives the first target of a text without one of its words.

    Attributes:
        word: The word as it is written where it occurs first.
        spans: The code points [start, end) of each occurrence in the text.
        pair_spans: Those in the second text of a pair.
        output: The target's probability without the word; of a regression its value.
        by: How the word was taken out, "mask" or "delete".
    """

    word: str
    spans: tuple[tuple[int, int], ...]
    pair_spans: tuple[tuple[int, int], ...]
    output: float
    by: str

    def fields(self, *, regression: bool) -> Record:
        """Return the check's fields of the record.

        Args:
            regression: Whether the output is a value, not a probability.
        """
        fields: Record = {
            "word": self.word,
            "spans": [list(span) for span in self.spans],
            "probability": None if regression else _rounded(self.output),
            "by": self.by,
        }
        if regression:
            fields["value"] = _rounded(self.output)
        if self.pair_spans:
            fields["pair_spans"] = [list(span) for span in self.pair_spans]
        return fields


@dataclass(frozen=True, slots=True)
class Explanation:
    """A row with its prediction and, for each target, the scores of its tokens.

    Attributes:
        row: The row.
        encoding: The tokens of the whole text.
        prediction: The prediction.
        attributions: The scores by target, first the one that the record shows first.
        windows: The number of windows that the text was read in.
        checks: What the first target has without the strongest words, strongest first; None where
            that was not asked for.
    """

    row: Row
    encoding: Encoding
    prediction: Prediction
    attributions: dict[str, Attribution]
    windows: int = 1
    checks: tuple[WordCheck, ...] | None = None

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

        `segments` is there for pairs only, `others` for several targets, `value` for a regression,
        `gold_labels` for a multi-label model, `slices` with `--slice-column`.
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
            **self.prediction.gold_fields(self.row.gold),
            "tokens": list(self.encoding.tokens),
            "offsets": [list(offset) for offset in self.encoding.offsets],
            "special": list(special),
            "truncated": self.encoding.truncated,
            "windows": self.windows,
            **self.prediction.fields(),
            **first,
        }
        if self.checks is not None:
            regression = self.prediction.predicted is None
            record["checks"] = [check.fields(regression=regression) for check in self.checks]
        if self.row.pair is not None:
            record["segments"] = list(self.encoding.segments)
        if self.row.slices:
            record["slices"] = dict(self.row.slices)
        return {**record, "others": others} if others else record


def _rounded(value: float) -> float:
    return float(f"{value:.7g}")


def _all_rounded(values: tuple[float, ...]) -> list[float]:
    """Return numbers with seven digits; one format for all of them takes a third of the time."""
    return [*map(float, ("%.7g " * len(values) % values).split())]
