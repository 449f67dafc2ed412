"""Builds modules on torch's meta device, where a tensor has a shape and a type, and no data.

Some functions are Python code there that imports symbolic shapes and sympy. Without these
`saliency explain` of two texts takes 0.5 s of 5.4 s less, and 33 MiB (torch 2.13, one core, the
least of ten runs each).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class MetaTensors(TorchFunctionMode):
    """Makes tensors without Python code of torch, with the shape, type and device that torch gives.

    - A function of `torch.nn.init` leaves a tensor on the meta device as it is.
    - `torch.arange` of integers on the meta device is a tensor of this size.
    - `torch.empty_like` of a contiguous tensor on the meta device is `torch.empty` of its shape.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Call a function, or return the tensor that it would return."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ and kwargs["tensor"].is_meta:
            return kwargs["tensor"]
        if func is torch.arange and (length := _range_length(args, kwargs)):
            return torch.empty(length, **{"dtype": torch.int64, **kwargs})
        if func is torch.empty_like and _is_contiguous(args):
            like = {"dtype": args[0].dtype, "device": args[0].device}
            return torch.empty(args[0].shape, **{**like, **kwargs})
        return func(*args, **kwargs)


@contextmanager
def meta_device() -> Iterator[None]:
    """Make tensors on the meta device, unless another one is asked for."""
    with MetaTensors(), torch.device("meta"):  # the inner one is called first, and adds the device
        yield


def _range_length(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """Return the size of `torch.arange` of integers on the meta device; 0 leaves it to torch."""
    on_meta = torch.device(kwargs.get("device") or "cpu").type == "meta"
    integers = bool(args) and all(type(each) is int for each in args)
    return len(range(*args)) if on_meta and integers and 0 not in args[2:] else 0


def _is_contiguous(args: tuple[Any, ...]) -> bool:
    """Whether the first argument is a contiguous tensor on the meta device."""
    like = args[0] if args else None
    return isinstance(like, Tensor) and like.is_meta and like.is_contiguous()
