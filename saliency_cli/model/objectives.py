"""Objectives: the number F of a pass that is explained, from its logits.

Shapes: B passes, C labels. F is larger where the target is more likely, whatever the objective, so
that a positive score always speaks for the target.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from saliency_cli.model.devices import to_device
from saliency_cli.model.heads import Targets
from saliency_cli.settings import HeadName, ObjectiveName


def identity(logits: Tensor) -> Tensor:
    """Return logits unchanged."""
    return logits


def log_probabilities(logits: Tensor) -> Tensor:
    """Return minus the cross-entropy of each label, [B, C]."""
    return logits.log_softmax(dim=1)


def probabilities(logits: Tensor) -> Tensor:
    """Return the softmax of logits [B, C]."""
    return logits.softmax(dim=1)


OBJECTIVES: dict[ObjectiveName, dict[HeadName, Callable[[Tensor], Tensor]]] = {
    "logit": {"single-label": identity, "multi-label": identity, "regression": identity},
    "loss": {"single-label": log_probabilities},
    "probability": {"single-label": probabilities, "multi-label": torch.sigmoid},
}
"""For each objective and head, from logits [B, C] to the number of each label.

The gradient of `loss` is that of the cross-entropy, as AllenNLP Interpret takes it, with the other
sign.
"""


def objective_values(
    logits: Tensor, targets: Targets, *, objective: ObjectiveName, head: HeadName
) -> Tensor:
    """Return F of each pass, [B]: the number of its target, or the difference of two.

    Args:
        logits: The logits of the passes, [B, C], in float32 or float64.
        targets: What F is about, for each pass.
        objective: A key of `OBJECTIVES`.
        head: How the logits are read; `heads.check_targets` refuses what a head does not have.
    """
    weights = to_device(targets.weights(labels=logits.shape[1]), logits.device)
    values: Tensor = (OBJECTIVES[objective][head](logits) * weights).sum(dim=1)
    return values
