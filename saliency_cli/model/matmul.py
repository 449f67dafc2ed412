"""Which library multiplies float32 matrices on a CPU: products are most of a run.

torch asks MKL, and MKL uses AVX-512 on Intel's processors alone. On others that have it, oneDNN,
which torch carries as well, makes the same products 2.3 times as fast (AMD EPYC: 247 against 110
GFLOP/s a core), in the same float32.
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

FEWEST_ROWS = 64
"""Rows of the left factor below which getting into oneDNN takes longer than it gains."""


CACHED = "16"
"""Shapes that oneDNN keeps code for, half a megabyte each; its own bound is 1024, and batches of
texts have many shapes. As many as the linear layers of a model need at once are enough."""


def bound_caches() -> None:
    """Keep oneDNN from holding code for every shape; it must not have run yet."""
    for name in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):
        os.environ.setdefault(name, CACHED)


def choose_matmul_backend(
    device: torch.device, dtype: torch.dtype, *, cpu: Mapping[str, Any] | None = None
) -> MatmulBackend:
    """Return who multiplies on this device; `cpu` is what torch tells of the processor."""
    if device.type != "cpu" or dtype != torch.float32 or not _has_onednn():
        return "torch"
    cpu = this_cpu() if cpu is None else cpu
    wide = bool(cpu.get("avx512_f")) and "Intel" not in str(cpu.get("cpu_name", "Intel"))
    return "onednn" if wide else "torch"


def this_cpu() -> Mapping[str, Any]:
    """Return torch's list of what the processor can do; versions that keep none return nothing."""
    tell = getattr(torch.cpu, "get_capabilities", dict)
    return tell()


def _has_onednn() -> bool:
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def use_matmul_backend(products: MatmulBackend) -> AbstractContextManager[object]:
    """Have the linear layers that run inside, in this thread, multiplied by `products`."""
    return _OneDNN() if products == "onednn" else nullcontext()


class _OneDNN(TorchFunctionMode):
    """Hands the products with a frozen weight to oneDNN, whatever kind of layer asks for them."""

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
    plain = x.dtype == weight.dtype == torch.float32 and weight.dim() == 2
    if frozen and plain and x.numel() >= FEWEST_ROWS * x.shape[-1]:
        return _Product.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]
    return linear(x, weight, bias)


class _Product(torch.autograd.Function):
    """A product and its gradient with respect to the left factor, the only one needed."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (weight,) = ctx.saved_tensors
        return pulled_back(gradient, weight), None, None


def pulled_back(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return gradient · weight; rows that are zero, which stay zero, are left out.

    Where a model reads its answer off one token, those are all others of its last layer.
    """
    rows = _few_rows(gradient)
    if rows is None:
        return _product(gradient, weight.t(), None)
    flat = gradient.flatten(end_dim=-2)
    pulled = flat.new_zeros(len(flat), weight.shape[1])
    pulled[rows] = flat[rows] @ weight
    return pulled.view(*gradient.shape[:-1], -1)


def _few_rows(gradient: Tensor) -> Tensor | None:
    """Return which rows of a gradient [..., L, N] are not zero, if less than a quarter of them.

    The first and the last token tell whether it is worth looking at the others.
    """
    if gradient.dim() < 3 or (gradient[..., 0, :].any() and gradient[..., -1, :].any()):
        return None
    flat = gradient.flatten(end_dim=-2)
    # Not any() or aminmax(), which take ten times as long.
    rows = ((flat.amax(dim=1) != 0) | (flat.amin(dim=1) != 0)).nonzero()[:, 0]
    return rows if 4 * len(rows) < len(flat) else None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # The operator that torch's own compiler emits for a linear layer on a CPU; no public name
    # leads to it without copying both factors into oneDNN's layout.
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]  # noqa: SLF001
