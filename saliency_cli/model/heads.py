"""How a classifier's logits are read: what they predict, and which of them are explained.

Shapes: B passes, C labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, nan
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from saliency_cli.errors import UsageError
from saliency_cli.explanations import Prediction
from saliency_cli.records import match_label, match_labels
from saliency_cli.safe_text import listed, visible
from saliency_cli.settings import HeadName, ObjectiveName, TargetChoice

PREDICTED, GOLD, ALL = "predicted", "gold", "all"


@dataclass(frozen=True, slots=True)
class Target:
    """The function F of the logits that is explained: one logit, or the difference of two.

    Attributes:
        name: The label, or "label - other label" for a difference.
        plus: The index of the logit.
        minus: The index of the logit that is subtracted, or None.
        cut: The logit above which a multi-label head assigns the label. A noisy pass keeps the
            clean pass's decision while the logit `plus` stays on the same side of `cut`; where
            `cut` is NaN, while the largest logit stays the same.
    """

    name: str
    plus: int
    minus: int | None = None
    cut: float = nan


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of several passes as tensors on the CPU.

    Attributes:
        plus: The index of the logit of each pass, [B].
        minus: The index of the logit that is subtracted, or −1, [B].
        cuts: See `Target.cut`, [B].
    """

    plus: Tensor
    minus: Tensor
    cuts: Tensor

    @classmethod
    def of(cls, targets: Sequence[Target]) -> Self:
        """Return targets as tensors."""
        return cls(
            torch.tensor([target.plus for target in targets], dtype=torch.long),
            torch.tensor([-1 if t.minus is None else t.minus for t in targets], dtype=torch.long),
            torch.tensor([target.cut for target in targets]),
        )

    def select(self, index: Tensor) -> Self:
        """Return the targets with the numbers `index` [N]."""
        return type(self)(self.plus[index], self.minus[index], self.cuts[index])

    def weights(self, *, labels: int) -> Tensor:
        """Return the weights [B, C] of the logits in each pass's F: 1 for `plus`, −1 for `minus`.

        Args:
            labels: C, the number of labels.
        """
        weights = one_hot(self.plus, labels).float()
        # A column more holds the weight of the logit that is not there.
        subtracted = one_hot(self.minus + 1, labels + 1)[:, 1:]
        return weights - subtracted

    def decisions(self, logits: Tensor) -> Tensor:
        """Return each pass's decision as an integer, [B]; equal integers are equal decisions.

        Args:
            logits: The logits of the passes, [B, C].
        """
        above = logits.gather(1, self.plus[:, None])[:, 0] > self.cuts
        return torch.where(self.cuts.isnan(), logits.argmax(dim=1), above.long())

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the targets of several batches as one."""
        names = ("plus", "minus", "cuts")
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def _softmax(logits: Tensor) -> list[list[float]]:
    return logits.softmax(dim=1).tolist()


def _sigmoid(logits: Tensor) -> list[list[float]]:
    return logits.sigmoid().tolist()


PROBABILITIES: dict[HeadName, Callable[[Tensor], list[list[float]]]] = {
    "single-label": _softmax,
    "multi-label": _sigmoid,
}


def predict(logits: Tensor, *, labels: tuple[str, ...], head: HeadName) -> list[Prediction]:
    """Return the predictions of some texts; those of a regression have a value and no label.

    Args:
        logits: The logits of the clean passes, [B, C].
        labels: The names of the logits.
        head: How they are read.
    """
    if head == "regression":
        return [Prediction(labels, (), None, value=value) for value in logits[:, 0].tolist()]
    probabilities = PROBABILITIES[head](logits.double())
    predicted = logits.argmax(dim=1).tolist()
    pairs = zip(probabilities, predicted, strict=True)
    multi = head == "multi-label"
    return [Prediction(labels, tuple(p), index, multi_label=multi) for p, index in pairs]


def choose_targets(
    prediction: Prediction, gold: str | None, *, choice: TargetChoice, head: HeadName
) -> tuple[Target, ...]:
    """Return the targets of a text, first the one that its record shows first.

    There is none if the gold label is to be explained, but is not one of the model's labels.

    Args:
        prediction: The prediction of the clean pass.
        gold: The gold label in the input, if any.
        choice: What the user wants to be explained.
        head: How the logits are read.
    """
    if prediction.predicted is None:
        return (Target(prediction.labels[0], 0),)
    # The logit whose sigmoid is the threshold.
    cut = log(choice.threshold / (1 - choice.threshold)) if head == "multi-label" else nan
    return tuple(
        _target(index, prediction, contrast=choice.contrast, cut=cut)
        for index in _target_indices(prediction, gold, choice=choice, head=head)
    )


def _target_indices(
    prediction: Prediction, gold: str | None, *, choice: TargetChoice, head: HeadName
) -> list[int]:
    """Return the indices of the labels that are explained, the most probable first."""
    labels, probabilities = prediction.labels, prediction.probabilities
    ranked = sorted(range(len(labels)), key=lambda index: -probabilities[index])
    if choice.name == ALL:
        return ranked
    if choice.name == PREDICTED:
        above = [index for index in ranked if probabilities[index] >= choice.threshold]
        return above or ranked[:1] if head == "multi-label" else ranked[:1]
    if choice.name == GOLD and head == "multi-label":
        named = match_labels(gold, labels) or []
        return [index for index in ranked if labels[index] in named]
    name = match_label(gold if choice.name == GOLD else choice.name, labels)
    return [labels.index(name)] if name in labels else []


def _target(index: int, prediction: Prediction, *, contrast: str | None, cut: float) -> Target:
    """Return the target of one label, in contrast to another label if one is given.

    A label in contrast to itself is compared with the most probable of the other labels.
    """
    labels = prediction.labels
    if contrast is None:
        return Target(labels[index], index, cut=cut)
    against = labels.index(match_label(contrast, labels) or contrast)
    if against == index:
        others = [other for other in range(len(labels)) if other != index]
        against = max(others, key=prediction.probabilities.__getitem__)
    return Target(f"{labels[index]} - {labels[against]}", index, against, cut)


def check_targets(
    choice: TargetChoice, *, objective: ObjectiveName, labels: tuple[str, ...], head: HeadName
) -> None:
    """Raise UsageError if the model cannot give what the user wants to be explained.

    Args:
        choice: The target that the user chose.
        objective: What F is.
        labels: The names of the logits.
        head: How they are read.

    Raises:
        UsageError: The model has no such label, or its head does not support the choice.
    """
    allowed = {"logit": (head,), "loss": ("single-label",)}
    heads = allowed.get(objective, ("single-label", "multi-label"))
    if head not in heads:
        raise UsageError(
            f"--objective {objective} needs a {' or '.join(heads)} head, and the model has a "
            f"{head} head",
            "leave out --objective, or the --preset that fixes it",
        )
    if head == "regression" and (choice.name not in {PREDICTED, ALL} or choice.contrast):
        raise UsageError(
            "a regression head has one output, and only that can be explained",
            "leave out --target and --contrast",
        )
    _check_label_names(choice, labels)
    if choice.contrast is not None and len(labels) < 2:
        raise UsageError(
            "--contrast needs a model with at least two labels", "leave out --contrast"
        )


def _check_label_names(choice: TargetChoice, labels: tuple[str, ...]) -> None:
    """Raise UsageError if an option names a label that the model does not have."""
    names = {"--contrast": choice.contrast}
    if choice.name not in {PREDICTED, GOLD, ALL}:
        names["--target"] = choice.name
    for option, name in names.items():
        if name is not None and match_label(name, labels) not in labels:
            raise UsageError(
                f"{option} {visible(name)}: the model has no such label",
                f"use one of its labels: {listed([*labels])}",
            )
