"""Tensors that a training loop saves beside a model's own: of losses and of torchmetrics.

Lightning saves every tensor of a `LightningModule`, of which the model is one part among others.
"""

import re
from collections.abc import Callable, Collection

from saliency_cli.checkpoints.contents import Weights

_LOSS = re.compile(
    r"(\w+_)?(criterion|criteria|loss|losses|loss_fn|loss_func|loss_function)(_\w+)?"
    r"|(class|pos|loss|label)_weights?"
)
"""The first name of a key of a loss, or of the weights of its classes."""

_METRIC = re.compile(
    r"(train|training|val|valid|validation|dev|test)_\w+"
    r"|(\w+_)?(metrics?|accuracy|acc|precision|recall|f1|f1_?score|auroc|auc|confmat|specificity"
    r"|matthews|kappa|calibration_error)",
    re.IGNORECASE,
)
"""The first name of a key of a metric: with the part of the data, or by its kind."""

_METRIC_STATE = {
    *("tp", "fp", "tn", "fn", "confmat", "correct", "total", "value", "mean_value"),
    *("sum_squared_error", "sum_abs_error", "preds", "target", "measure", "thresholds"),
    *("confidences", "accuracies"),
}
"""The last names of the buffers of torchmetrics' classification metrics."""


def split_training_state(
    weights: Weights, expected: Callable[[], Collection[str]]
) -> tuple[Weights, tuple[str, ...]]:
    """Return the weights without tensors of losses and metrics, and the keys of those.

    A key is left out if its first name is that of a loss or a metric, of a metric also its last
    name, and if no end of the key is a key of the model.

    Args:
        weights: The state dict, possibly with prefixes.
        expected: Returns the model's keys; called only if a key is a candidate.
    """
    candidates = [key for key in weights if is_training_state(key)]
    if not candidates:
        return weights, ()
    names = set(expected())
    ignored = tuple(sorted(key for key in candidates if names.isdisjoint(_ends(key))))
    return {key: weights[key] for key in weights if key not in ignored}, ignored


def is_training_state(key: str) -> bool:
    """Whether a key has the names of a loss or of a metric."""
    first, *others = key.split(".")
    is_metric = bool(others) and others[-1] in _METRIC_STATE
    return bool(_LOSS.fullmatch(first) or (is_metric and _METRIC.fullmatch(first)))


def _ends(key: str) -> set[str]:
    parts = key.split(".")
    return {".".join(parts[start:]) for start in range(len(parts))}
