"""Whether a method finds the half of a text that speaks for a label: two texts joined."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any, ClassVar

from saliency_cli.attribution.reduction import is_signed
from saliency_cli.evaluation.bootstrap import mean_figure
from saliency_cli.evaluation.metrics.interface import Metric, Values
from saliency_cli.evaluation.rescoring import Question, Scored, scores_of
from saliency_cli.evaluation.subject import TARGETS, Subject, evenly
from saliency_cli.records import Row

SURE = 0.8
"""The least probability of the predicted label of a text that is joined to another."""
PAIRS = 10
"""Pairs of texts; each is joined in both orders, and explained for both labels."""
UNDECIDED = 0.5
"""The share of a text without any positive score."""


class Mosaic(Metric):
    """The share of the positive scores for a label that lies on the text that has this label.

    Of two texts that the model is sure of, with different labels, joined by a space. The mean over
    both orders and both labels is 0.5 for scores that know nothing, whatever the lengths.
    """

    name: ClassVar[str] = "mosaic"
    title: ClassVar[str] = "share of a label's positive scores on its own half of two joined texts"
    source: ClassVar[str] = "Arias-Duart et al. 2022"
    pitfall: ClassVar[str] = (
        "Scores without a sign cannot be measured, and a word may speak for a label in the text "
        "of another one, so that 1 is out of reach even for exact scores."
    )

    def reference(self, subject: Subject) -> Values:
        """Return the numbers of the texts of each pair."""
        pairs = _pairs(subject)
        return {"pairs": [pairs[n] for n in evenly(len(pairs), most=PAIRS).tolist()]}

    def measure(self, subject: Subject, name: str, reference: Values) -> Values:
        """Return the share of each pair.

        Args:
            subject: Texts and model.
            name: The method.
            reference: The pairs.
        """
        maths, pairs = subject.variants[name].maths, reference["pairs"]
        if not is_signed(maths):
            return {"reason": "its scores have no sign"}
        if len(pairs) < 2:
            return {"reason": "too few texts of different labels are predicted surely"}
        halves = [order for pair in pairs for order in (pair, pair[::-1])]
        questions = [_question(subject, each, half) for each in halves for half in (0, 1)]
        scored = scores_of(questions, maths, subject)
        shares = [
            _share(each, len(subject.rows[halves[number // 2][0]].text), half=number % 2)
            for number, each in enumerate(scored)
        ]
        return {"shares": [round(fmean(shares[n : n + 4]), 7) for n in range(0, len(shares), 4)]}

    def summarise(self, values: Values, reference: Values) -> dict[str, Any]:  # noqa: ARG002
        """Return the mean share.

        Args:
            values: What `measure` returned.
            reference: The pairs.
        """
        return dict(mean_figure(values["shares"]))


def _pairs(subject: Subject) -> list[list[int]]:
    """Return pairs of texts of about the same length and of different labels, each text once."""
    longest = subject.engine.classifier.max_length
    probabilities = subject.clean[TARGETS[0]].tolist()
    sure = [
        text
        for text, row in enumerate(subject.rows)
        if probabilities[text] >= SURE and row.pair is None
    ]
    sure.sort(key=lambda text: (len(subject.encodings[text]), text))
    pairs: list[list[int]] = []
    waiting: list[int] = []
    for text in sure:
        other = next((n for n in waiting if subject.labels[n] != subject.labels[text]), None)
        if other is None:
            waiting.append(text)
            continue
        waiting.remove(other)
        if len(subject.encodings[text]) + len(subject.encodings[other]) <= longest:
            pairs.append([other, text])
    return pairs


def _question(subject: Subject, halves: Sequence[int], half: int) -> Question:
    first, second = (subject.rows[text] for text in halves)
    row: Row = replace(first, text=f"{first.text} {second.text}", gold=None)
    return Question(row, int(subject.labels[halves[half]]))


def _share(scored: Scored | None, boundary: int, *, half: int) -> float:
    """Return the share of the positive scores on a half; the first one ends at `boundary`."""
    sums = [0.0, 0.0]
    if scored is not None:
        encoding = scored.encoding
        columns = zip(scored.scores, encoding.offsets, encoding.special, strict=True)
        for score, (start, _end), special in columns:
            if score > 0 and not special:
                sums[start >= boundary] += score
    total = sum(sums)
    return sums[half] / total if total > 0 else UNDECIDED
