"""What metrics measure: texts that every method explained, their scores, and the loaded model.

Shapes: T texts, N lines (a line is a text without some tokens), C labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from saliency_cli.attribution.engine import Engine
from saliency_cli.evaluation.options import EvaluationChoice
from saliency_cli.evaluation.passes import Passes
from saliency_cli.evaluation.variants import Variant
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.records import Encoding, Row
from saliency_cli.settings import HeadName

TARGETS = ("probability", "logit")
"""What is read of the predicted label."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The texts of an evaluation, and what every method says of them.

    Attributes:
        rows: The texts, T of them.
        encodings: Their tokens.
        labels: The index of the label that is explained, the predicted one, [T].
        clean: Its probability and logit in the text as it is, [T] each, float64.
        scores: Of each method the scores of each text's tokens.
        variants: The methods by name.
        engine: The model and how it is run; its maths are of no meaning.
        passes: Forward passes over the texts.
        choice: The options of the evaluation.
        source: The input that the texts are a sample of; None where there is no more of it.
        memory: What a metric keeps between methods and does not store, by the metric's name.
    """

    rows: Sequence[Row]
    encodings: Sequence[Encoding]
    labels: Tensor
    clean: Mapping[str, Tensor]
    scores: Mapping[str, Sequence[Sequence[float]]]
    variants: Mapping[str, Variant]
    engine: Engine
    passes: Passes
    choice: EvaluationChoice
    source: TextsChoice | None = None
    memory: dict[str, Any] = field(default_factory=dict)

    def text_scores(self, name: str, text: int) -> list[float]:
        """Return a method's scores of the tokens that are not special.

        Args:
            name: The method.
            text: The number of the text.
        """
        pairs = zip(self.scores[name][text], self.encodings[text].special, strict=True)
        return [score for score, special in pairs if not special]

    def outputs(self, texts: Tensor, removed: Tensor, *, by: str) -> dict[str, Tensor]:
        """Return probability and logit of each line's label, [N] each, float64.

        Args:
            texts: The number of each line's text, [N].
            removed: True for the tokens that are taken out, [N, L].
            by: One of `passes.REMOVALS`.
        """
        logits = self.passes.logits(texts, removed, by=by)
        return target_values(logits, self.labels[texts], head=self.engine.classifier.head)


def target_values(logits: Tensor, labels: Tensor, *, head: HeadName) -> dict[str, Tensor]:
    """Return probability and logit of a label, [N] each, float64.

    Args:
        logits: [N, C].
        labels: The index of the label, [N].
        head: How the logits are read.
    """
    exact = logits.double()
    shares = probabilities(exact, head=head)
    both = (each.gather(1, labels[:, None])[:, 0] for each in (shares, exact))
    return dict(zip(TARGETS, both, strict=True))


def probabilities(logits: Tensor, *, head: HeadName) -> Tensor:
    """Return the probability of each label, [..., C].

    Args:
        logits: [..., C].
        head: How the logits are read.
    """
    return logits.sigmoid() if head == "multi-label" else logits.softmax(dim=-1)


def as_lists(values: Tensor) -> Any:  # noqa: ANN401 - nested lists, as JSON has them
    """Return a tensor as lists of numbers with the seven digits of float32."""
    flat = [float(f"{value:.7g}") for value in values.flatten().tolist()]
    shape = values.shape
    for size in reversed(shape[1:]):
        flat = [flat[first : first + size] for first in range(0, len(flat), size)]  # type: ignore[misc]
    return flat


def evenly(count: int, *, most: int) -> Tensor:
    """Return at most `most` of the numbers below `count`, spread evenly, [M].

    Args:
        count: How many numbers there are.
        most: How many are wanted.
    """
    chosen = min(most, count)
    return torch.tensor([number * count // chosen for number in range(chosen)], dtype=torch.long)
