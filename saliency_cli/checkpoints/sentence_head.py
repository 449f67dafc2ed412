"""Read the head of a sentence classifier: safetensors, or a pickle of scikit-learn or SetFit."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saliency_cli.checkpoints.contents import Weights
from saliency_cli.checkpoints.file_checks import check_file
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.checkpoints.safetensors_file import read_safetensors
from saliency_cli.checkpoints.tensors import check_finite
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, listed, visible

SAFE_HEADS = ("head.safetensors", "model_head.safetensors")
PICKLED_HEAD = "model_head.pkl"
OTHER_HEADS = ("model_head.skops", "model_head.onnx", "model_head.joblib")
KEYS = (("coef", "intercept"), ("linear.weight", "linear.bias"), ("weight", "bias"))
"""The names of weight [C, W] and bias [C] in a file of a head; the bias may be missing."""
CONVERT = (
    "import joblib, torch; from safetensors.torch import save_file; "
    "head = joblib.load('model_head.pkl'); "
    "save_file({'coef': torch.tensor(head.coef_).contiguous(), "
    "'intercept': torch.tensor(head.intercept_)}, 'head.safetensors')"
)
"""Lines of Python that write the head of scikit-learn as safetensors."""


@dataclass(frozen=True, slots=True)
class LinearHead:
    """A linear head.

    Attributes:
        weight: [C, W] in float32; one row for a binary head of one output.
        bias: [C] in float32.
        multi_label: Whether each output is a label by itself.
        names: The names of the labels; empty if the file has none.
    """

    weight: Tensor
    bias: Tensor
    multi_label: bool = False
    names: tuple[str, ...] = ()

    def linear(self) -> nn.Linear:
        """Return the head as a module."""
        layer = nn.Linear(self.weight.shape[1], self.weight.shape[0])
        layer.weight.data.copy_(self.weight)
        layer.bias.data.copy_(self.bias)
        return layer


def find_head(folder: Path) -> Path | None:
    """Return the head's file: one that holds no code comes first; None if there is none."""
    names = (*SAFE_HEADS, PICKLED_HEAD, *OTHER_HEADS)
    return next((folder / name for name in names if (folder / name).exists()), None)


def check_head_file(path: Path, *, unsafe: bool) -> None:
    """Raise an error unless a head may be opened.

    Args:
        path: The head's file.
        unsafe: The user gave `--unsafe-pickle`.

    Raises:
        CheckpointError: It is a pickle and `unsafe` is false, or of a format that is not read.
    """
    check_file(path, what="the head")
    if path.name in OTHER_HEADS:
        raise CheckpointError(
            f"{visible(str(path))}: heads of this format are not read",
            "write coef and intercept as tensors into head.safetensors beside it",
        )
    if path.name == PICKLED_HEAD and not unsafe:
        raise CheckpointError(
            f"{visible(str(path))} is a pickle, which can run code, and was not opened",
            f'add --unsafe-pickle if you trust its author, or convert it: python -c "{CONVERT}"',
        )


def read_sentence_head(path: Path) -> LinearHead:
    """Return the head of a file that `check_head_file` has passed.

    Raises:
        CheckpointError: The file holds no linear head, or a package that it needs is missing.
    """
    head = _read_pickle(path) if path.name == PICKLED_HEAD else _from_weights(path)
    problem = head.weight.dim() != 2 or head.bias.shape != head.weight.shape[:1]
    if problem or not head.weight.numel():
        raise CheckpointError(
            f"{visible(str(path))}: weight {tuple(head.weight.shape)} and bias "
            f"{tuple(head.bias.shape)} are no linear head"
        )
    check_finite([("weight", head.weight), ("bias", head.bias)], name=str(path))
    return head


def _from_weights(path: Path) -> LinearHead:
    weights = read_safetensors(path)
    for weight, bias in KEYS:
        if weight in weights and weights.keys() <= {weight, bias}:
            return _linear_head(weights, weight, bias)
    raise CheckpointError(
        f"{visible(str(path))} holds {listed(sorted(weights))}; expected coef and intercept",
        f"write it as in: {CONVERT}",
    )


def _linear_head(weights: Weights, weight: str, bias: str) -> LinearHead:
    rows = weights[weight].float()
    rows = rows[None] if rows.dim() == 1 else rows
    added = weights.get(bias, torch.zeros(len(rows))).float().reshape(-1)
    return LinearHead(rows, added)


def _read_pickle(path: Path) -> LinearHead:
    """Return the head of a pickle; opening it may run any code."""
    try:
        joblib = import_module("joblib")  # scikit-learn depends on it
        import_module("sklearn")
    except ImportError as error:
        raise CheckpointError(
            f"{visible(str(path))} needs scikit-learn, which is not installed",
            "pip install scikit-learn, or write the head as head.safetensors where it is "
            f'installed: python -c "{CONVERT}"',
        ) from error
    with translate_errors(path, "the head"):
        found = joblib.load(path)
    head = _torch_head(found) if isinstance(found, nn.Module) else _scikit_head(found)
    if head is None:
        raise CheckpointError(
            f"{visible(str(path))} holds a {excerpt(type(found).__name__)}; only a "
            "LogisticRegression with a softmax, several of them as a multi-label head, and "
            "SetFit's own head can be read",
            "train the head as a LogisticRegression",
        )
    return head


def _torch_head(module: nn.Module) -> LinearHead | None:
    """Return the head of SetFit's differentiable head, which divides by a temperature."""
    linear = getattr(module, "linear", None)
    if not isinstance(linear, nn.Linear):
        return None
    temperature = getattr(module, "temperature", 1.0) + getattr(module, "eps", 0.0)
    weight = linear.weight.detach().float() / temperature
    bias: Tensor | None = getattr(linear, "bias", None)
    added = torch.zeros(len(weight)) if bias is None else bias.detach().float() / temperature
    return LinearHead(weight, added, multi_label=bool(getattr(module, "multitarget", False)))


def _scikit_head(found: Any) -> LinearHead | None:  # noqa: ANN401
    """Return the head of a LogisticRegression, or of one for each label."""
    kind = type(found).__name__
    if kind == "LogisticRegression":
        return _logistic_head(found)
    is_multi_label = kind == "MultiOutputClassifier" or getattr(found, "multilabel_", False)
    if kind not in {"OneVsRestClassifier", "MultiOutputClassifier"} or not is_multi_label:
        return None
    heads = [_logistic_head(each) for each in found.estimators_]
    parts = [each for each in heads if each is not None and len(each.weight) == 1]
    if len(parts) < len(heads):
        return None
    weight = torch.cat([each.weight for each in parts])
    return LinearHead(weight, torch.cat([each.bias for each in parts]), multi_label=True)


def _logistic_head(found: Any) -> LinearHead | None:  # noqa: ANN401
    """Return the head of a LogisticRegression; None if its probabilities are no softmax."""
    if type(found).__name__ != "LogisticRegression":
        return None
    weight = torch.tensor(found.coef_).float()
    separate = getattr(found, "multi_class", None) == "ovr" or found.solver == "liblinear"
    if separate and len(weight) > 1:
        return None
    classes = found.classes_.tolist()
    names = () if classes == [*range(len(classes))] else tuple(map(str, classes))
    return LinearHead(weight, torch.tensor(found.intercept_).float(), names=names)
