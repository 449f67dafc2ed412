"""Scores of other texts, seeds or weights than those of the runs, by the engine in this process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from saliency_cli import signals
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.propagation_check import with_propagation
from saliency_cli.evaluation.subject import Subject
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import TargetChoice


@dataclass(frozen=True, slots=True)
class Question:
    """A text, and the index of the label that is explained."""

    row: Row
    label: int


@dataclass(frozen=True, slots=True)
class Scored:
    """The tokens of a text and their scores."""

    encoding: Encoding
    scores: Sequence[float]

    @property
    def text_scores(self) -> list[float]:
        """The scores of the tokens that are not special."""
        pairs = zip(self.scores, self.encoding.special, strict=True)
        return [score for score, special in pairs if not special]


def scores_of(
    questions: Sequence[Question],
    maths: Maths,
    subject: Subject,
    *,
    classifier: Classifier | None = None,
) -> list[Scored | None]:
    """Return the scores of texts for given labels; None where a text cannot be explained.

    Args:
        questions: The texts.
        maths: The method.
        subject: The model, and how it is run.
        classifier: Another model that takes its place.
    """
    chosen = with_propagation(classifier or subject.engine.classifier, maths.propagation)
    engine = replace(subject.engine, classifier=chosen)
    found: list[Scored | None] = [None] * len(questions)
    for label in sorted({each.label for each in questions}):
        target = TargetChoice(name=chosen.labels[label])
        own = [number for number, each in enumerate(questions) if each.label == label]
        rows = [replace(questions[number].row, ordinal=number) for number in own]
        for number, scored in zip(own, _explained(rows, engine, maths, target), strict=True):
            found[number] = scored
    return found


def _explained(
    rows: Sequence[Row], engine: Engine, maths: Maths, target: TargetChoice
) -> list[Scored | None]:
    engine = replace(engine, maths=replace(maths, target=target))
    found: list[Scored | None] = []
    for outcome in explain(rows, engine):
        signals.check()
        explained = isinstance(outcome, Explanation)
        found.append(Scored(outcome.encoding, outcome.attribution.scores) if explained else None)  # type: ignore[union-attr]
    return found
