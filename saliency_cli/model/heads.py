"""How the logits of a classifier are meant: what they predict, and which of them are explained.

C labels; B passes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log, nan

import torch
from torch import Tensor

from saliency_cli.errors import UsageError
from saliency_cli.records import Prediction, match_label
from saliency_cli.safe_text import listed, visible
from saliency_cli.settings import HeadName, ObjectiveName, TargetChoice

PREDICTED, GOLD, ALL = "predicted", "gold", "all"


@dataclass(frozen=True, slots=True)
class Target:
    """What F is: the logit `plus`, less the logit `minus` where there is one.

    A noisy pass decides as the clean one did while the same logit is the largest; with a `cut`,
    while the logit `plus` stays on its side of that.
    """

    name: str
    plus: int
    minus: int | None = None
    cut: float = nan


def weights(targets: Sequence[Target], *, labels: int) -> Tensor:
    """Return the weights [B, C] of the logits in each pass's F: 1, and −1 for a contrast."""
    rows = torch.zeros(len(targets), labels)
    for row, target in zip(rows, targets, strict=True):
        row[target.plus] = 1
        if target.minus is not None:
            row[target.minus] = -1
    return rows


def decisions(logits: Tensor, targets: Sequence[Target]) -> Tensor:
    """Return what each pass [B, C] decides, as [B] numbers that are equal where decisions are."""
    plus = torch.tensor([target.plus for target in targets], device=logits.device)
    cuts = torch.tensor([target.cut for target in targets], device=logits.device)
    above = logits.gather(1, plus[:, None])[:, 0] > cuts
    return torch.where(cuts.isnan(), logits.argmax(dim=1), above.long())


def _softmax(logits: Tensor) -> tuple[float, ...]:
    return tuple(logits.softmax(dim=0).tolist())


def _sigmoid(logits: Tensor) -> tuple[float, ...]:
    return tuple(logits.sigmoid().tolist())


def _none(_logits: Tensor) -> tuple[float, ...]:
    return ()


PROBABILITIES: dict[HeadName, Callable[[Tensor], tuple[float, ...]]] = {
    "single-label": _softmax,
    "multi-label": _sigmoid,
    "regression": _none,
}


def predict(logits: Tensor, *, labels: tuple[str, ...], head: HeadName) -> Prediction:
    """Return what the logits [C] of a clean pass say; a regression's is a value and no label."""
    probabilities = PROBABILITIES[head](logits.double())
    if not probabilities:
        return Prediction(labels, (), None, value=float(logits[0]))
    return Prediction(labels, probabilities, int(logits.argmax()))


def choose_targets(
    prediction: Prediction, gold: str | None, *, choice: TargetChoice, head: HeadName
) -> tuple[Target, ...]:
    """Return what is explained of a text, first what the record shows first.

    None at all: the gold label is asked for, and is no label of the model.
    """
    if prediction.predicted is None:
        return (Target(prediction.labels[0], 0),)
    cut = log(choice.threshold / (1 - choice.threshold)) if head == "multi-label" else nan
    return tuple(
        _target(index, prediction, contrast=choice.contrast, cut=cut)
        for index in _indices(prediction, gold, choice=choice, head=head)
    )


def _indices(
    prediction: Prediction, gold: str | None, *, choice: TargetChoice, head: HeadName
) -> list[int]:
    labels, probabilities = prediction.labels, prediction.probabilities
    ranked = sorted(range(len(labels)), key=lambda index: -probabilities[index])
    if choice.name == ALL:
        return ranked
    if choice.name == PREDICTED:
        above = [index for index in ranked if probabilities[index] >= choice.threshold]
        return above or ranked[:1] if head == "multi-label" else ranked[:1]
    name = match_label(gold if choice.name == GOLD else choice.name, labels)
    return [labels.index(name)] if name in labels else []


def _target(index: int, prediction: Prediction, *, contrast: str | None, cut: float) -> Target:
    labels = prediction.labels
    if contrast is None:
        return Target(labels[index], index, cut=cut)
    against = labels.index(match_label(contrast, labels) or contrast)
    if against == index:  # why this label rather than itself: rather than the strongest other one
        others = [other for other in range(len(labels)) if other != index]
        against = max(others, key=prediction.probabilities.__getitem__)
    return Target(f"{labels[index]} - {labels[against]}", index, against, cut)


def check_targets(
    choice: TargetChoice, *, objective: ObjectiveName, labels: tuple[str, ...], head: HeadName
) -> None:
    """See that the head has what is to be explained.

    Raises:
        UsageError: there is no such label, or a choice that this head has no use for.
    """
    if head != "single-label" and objective == "loss":
        raise UsageError(f"--preset allennlp explains a single label's loss; this is a {head} head")
    if head == "regression" and (choice.name not in {PREDICTED, ALL} or choice.contrast):
        raise UsageError(
            "a regression head has one output, which is explained",
            "leave out --target and --contrast",
        )
    named = {"--contrast": choice.contrast}
    if choice.name not in {PREDICTED, GOLD, ALL}:
        named["--target"] = choice.name
    for option, name in named.items():
        if name is not None and match_label(name, labels) not in labels:
            raise UsageError(
                f"{option} {visible(name)}: the model has no such label",
                f"its labels are {listed([*labels])}",
            )
    if choice.contrast is not None and len(labels) < 2:
        raise UsageError("--contrast needs a model with two labels at least")
