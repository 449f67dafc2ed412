"""Checks of tensors that were read: dense, fully stored and finite."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from saliency_cli.checkpoints.quantized import UNQUANTIZED
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, listed, visible

_QUANTIZED = "is quantized"


def check_tensors(tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Raise an error unless each tensor is dense and each of its elements is stored once.

    A few bytes can describe a tensor of any size: with stride 0 all elements share one number.

    Args:
        tensors: The tensors by name, of any shape and dtype.
        name: The file's path, for messages.

    Raises:
        CheckpointError: A tensor is not dense, repeats elements, or extends past its storage.
    """
    for key, tensor in tensors.items():
        problem = _type_problem(tensor) or _layout_problem(tensor) or _storage_problem(tensor)
        if problem is not None:
            raise CheckpointError(
                f"{visible(name)}: tensor '{excerpt(key)}' {problem}",
                UNQUANTIZED
                if problem == _QUANTIZED
                else "save plain tensors: tensor.to_dense().contiguous()",
            )


def check_finite(tensors: Iterable[tuple[str, Tensor]], *, name: str) -> None:
    """Raise an error unless all weights are finite.

    Args:
        tensors: Names and tensors, of any shape.
        name: The file's path, for messages.

    Raises:
        CheckpointError: Some weights are NaN or infinite; the message lists their tensors.
    """
    broken = [key for key, tensor in tensors if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise CheckpointError(
            f"{visible(name)}: weights are not finite (NaN or infinity): {listed(broken)}",
            "the training run diverged or the file is damaged; use an earlier checkpoint",
        )


def _type_problem(tensor: Tensor) -> str | None:
    if type(tensor) not in {Tensor, nn.Parameter}:
        return f"is not dense and plain, but a {excerpt(type(tensor).__name__)}"
    if vars(tensor).keys() & dir(Tensor):  # a file can store attributes beside a parameter
        return "has an attribute that hides one of torch's"
    return None


def _layout_problem(tensor: Tensor) -> str | None:
    if tensor.is_meta:
        return "has a shape but no values (device meta)"
    if tensor.is_nested or tensor.layout != torch.strided:
        return "is not dense"
    if tensor.is_quantized:
        return _QUANTIZED
    if tensor.is_complex():
        return "is complex"
    return None


def _storage_problem(tensor: Tensor) -> str | None:
    if tensor.numel() == 0:
        return None
    dimensions = list(zip(tensor.shape, tensor.stride(), strict=True))
    stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    repeated = any(size > 1 and stride == 0 for size, stride in dimensions)
    if repeated or tensor.numel() > stored:
        return f"has {tensor.numel():,} elements but stores fewer"
    last = tensor.storage_offset() + sum((size - 1) * stride for size, stride in dimensions)
    return "extends past the end of its storage" if last >= stored else None
