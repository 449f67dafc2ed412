"""What is in the weights: plain numbers, all of them stored, all of them finite."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import listed, visible


def check_tensors(tensors: Mapping[str, Tensor], *, name: str) -> None:
    """See that each tensor's numbers all lie in its storage, once.

    A few bytes can describe a tensor of any size: with stride 0, each element is the same number.

    Raises:
        CheckpointError: a tensor is not plain, repeats its numbers, or reaches beyond its storage.
    """
    for key, tensor in tensors.items():
        problem = _form(tensor) or _extent(tensor)
        if problem is not None:
            raise CheckpointError(
                f"{visible(name)}: tensor '{visible(key)}' {problem}",
                "save plain tensors: tensor.to_dense().contiguous()",
            )


def check_finite(tensors: Iterable[tuple[str, Tensor]], *, name: str) -> None:
    """See that the weights are numbers.

    Raises:
        CheckpointError: some are NaN or infinite; their names are told.
    """
    broken = [key for key, tensor in tensors if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise CheckpointError(
            f"{visible(name)}: weights are not finite (NaN or infinity): {listed(broken)}",
            "the training run diverged or the file is damaged; give an earlier checkpoint",
        )


def _form(tensor: Tensor) -> str | None:
    if tensor.is_meta:
        return "has a shape and no numbers (device meta)"
    if tensor.is_nested or tensor.layout != torch.strided:
        return "is not dense"
    if tensor.is_quantized:
        return "is quantized"
    if tensor.is_complex():
        return "is complex"
    return None


def _extent(tensor: Tensor) -> str | None:
    if tensor.numel() == 0:
        return None
    steps = list(zip(tensor.shape, tensor.stride(), strict=True))
    stored = tensor.untyped_storage().nbytes() // tensor.element_size()
    repeated = any(size > 1 and stride == 0 for size, stride in steps)
    if repeated or tensor.numel() > stored:
        return f"shows {tensor.numel():,} numbers and stores fewer"
    last = tensor.storage_offset() + sum((size - 1) * stride for size, stride in steps)
    return "reaches beyond what is stored" if last >= stored else None
