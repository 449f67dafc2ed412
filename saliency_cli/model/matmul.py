"""The choice of the library that multiplies float32 matrices on a CPU, most of a run's time.

torch uses MKL, and MKL uses AVX-512 only on processors made by Intel. On other processors that have
AVX-512, oneDNN, which is part of torch, computes the same float32 products 2.3 times as fast (AMD
EPYC: 247 against 110 GFLOP/s a core).
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from saliency_cli.settings import MatmulBackend

MIN_ONEDNN_ROWS = 64
"""Rows of the left factor below which the overhead of calling oneDNN is larger than its gain."""
ONEDNN_CACHE_CAPACITY = "16"
"""Shapes for which oneDNN keeps compiled code, half a megabyte each. Its default is 1,024, and
batches of texts have many shapes; a model's linear layers need no more than these at a time."""


def limit_onednn_cache() -> None:
    """Limit the number of shapes for which oneDNN keeps code; call it before oneDNN runs."""
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, ONEDNN_CACHE_CAPACITY)


def choose_matmul_backend(
    device: torch.device, dtype: torch.dtype, *, cpu: Mapping[str, Any] | None = None
) -> MatmulBackend:
    """Return the library that multiplies matrices.

    Args:
        device: Where the model runs.
        dtype: The number format in which it runs.
        cpu: The processor's capabilities as torch lists them; by default those of this machine.
    """
    if device.type != "cpu" or dtype != torch.float32 or not _has_onednn():
        return "torch"
    cpu = cpu_capabilities() if cpu is None else cpu
    has_unused_avx512 = bool(cpu.get("avx512_f")) and "Intel" not in str(
        cpu.get("cpu_name", "Intel")
    )
    return "onednn" if has_unused_avx512 else "torch"


def cpu_capabilities() -> Mapping[str, Any]:
    """Return torch's list of the processor's capabilities, empty if this version has none."""
    get_capabilities = getattr(torch.cpu, "get_capabilities", dict)
    return get_capabilities()


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def use_matmul_backend(backend: MatmulBackend) -> AbstractContextManager[object]:
    """Return a context in which the linear layers that this thread runs use `backend`."""
    return _OneDNNMode() if backend == "onednn" else nullcontext()


class _OneDNNMode(TorchFunctionMode):
    """Passes products with a frozen weight to oneDNN, whatever layer class computes them."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever `func` returns
        if func is linear and not kwargs:
            return _linear(*args)
        if func is torch.addmm and not kwargs:  # GPT-2's Conv1D: bias + x · weight
            bias, x, weight = args
            return _linear(x, weight.t(), bias) if bias.dim() == 1 else func(*args)
        return func(*args, **(kwargs or {}))


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x · weightᵀ + bias, for x [..., K], weight [N, K] and bias [N]."""
    frozen = not weight.requires_grad and (bias is None or not bias.requires_grad)
    is_float32 = x.dtype == weight.dtype == torch.float32 and weight.dim() == 2
    if frozen and is_float32 and x.numel() >= MIN_ONEDNN_ROWS * x.shape[-1]:
        return _OneDNNLinear.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return linear(x, weight, bias)


class _OneDNNLinear(torch.autograd.Function):
    """A linear layer with a gradient for its input only, since its weights are frozen."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return _onednn_linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (weight,) = ctx.saved_tensors
        return input_gradient(gradient, weight), None, None


def input_gradient(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of a linear layer's input, gradient · weight, [..., K].

    If most rows of the gradient are zero, only the others are multiplied: the result of a zero row
    is zero. A model that reads its logits off one token has such gradients in its last layer.

    Args:
        gradient: The gradient of the layer's output, [..., N].
        weight: The layer's weight, [N, K].
    """
    rows = _few_nonzero_rows(gradient)
    if rows is None:
        return _onednn_linear(gradient, weight.t(), None)
    flat = gradient.flatten(end_dim=-2)
    result = flat.new_zeros(len(flat), weight.shape[1])
    result[rows] = flat[rows] @ weight
    return result.view(*gradient.shape[:-1], -1)


def _few_nonzero_rows(gradient: Tensor) -> Tensor | None:
    """Return the indices of the nonzero rows of a gradient [..., L, N], or None if they are many.

    "Few" is less than a quarter. If neither the first nor the last token is all zero, the others
    are not looked at.
    """
    if gradient.dim() < 3 or (gradient[..., 0, :].any() and gradient[..., -1, :].any()):
        return None
    flat = gradient.flatten(end_dim=-2)
    # any() and aminmax() would take ten times as long.
    rows = ((flat.amax(dim=1) != 0) | (flat.amin(dim=1) != 0)).nonzero()[:, 0]
    return rows if 4 * len(rows) < len(flat) else None


def _onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # The operator that torch's own compiler emits for a linear layer on a CPU. A public one would
    # copy both factors into oneDNN's layout first.
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]  # noqa: SLF001
