"""The rules of conservative propagation, one function for each kind of operation.

A rule runs an operation of torch with the arguments that it was called with. The result has the
values of the plain operation, bit for bit; only its backward pass is another. Tensors that do not
depend on the text, as weights, masks and positions, require no gradient and take no part in a rule.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import rms_norm

Operation: TypeAlias = Callable[..., Any]
Arguments: TypeAlias = Sequence[Any]
Keywords: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Operation, Arguments, Keywords], Any]
"""Runs an operation with its arguments and keywords."""


def share_among_factors(operation: Operation, args: Arguments, keywords: Keywords) -> Tensor:
    """Give each of N factors that depend on the text 1/N of the gradient: a product, an einsum.

    The product of two is linear in each, so x·G is the whole relevance at both of them.
    """
    output: Tensor = operation(*args, **keywords)
    operands = next((each for each in args if isinstance(each, list | tuple)), args)
    factors = _differentiable([*operands, *keywords.values()])
    if len(factors) > 1:
        # The gradient of each factor is linear in that of the output: one scaling serves all.
        _scale_gradient(output, 1 / len(factors))
    return output


def share_among_last_factors(operation: Operation, args: Arguments, keywords: Keywords) -> Tensor:
    """Give both factors of a + b · c half of the gradient, and all of it to a."""
    first, left, right, *others = args
    if len(_differentiable((left, right))) == 2:
        left, right = (_with_scaled_gradient(each, 0.5) for each in (left, right))
    output: Tensor = operation(first, left, right, *others, **keywords)
    return output


def scale_attention(operation: Operation, args: Arguments, keywords: Keywords) -> Tensor:
    """Scale the gradients of queries, keys and values by ¼, ¼, ½, outside the fused kernel.

    These are the two products of attention: weights times values, and queries times keys.
    """
    names = ("query", "key", "value")
    bound = _by_name(names, args, keywords)
    query, key, value = (bound[name] for name in names)
    of_value = 0.5 if _differentiable((query, key)) and value.requires_grad else 1.0
    of_query = of_value * (0.5 if query.requires_grad and key.requires_grad else 1.0)
    scaled = [
        _with_scaled_gradient(query, of_query),
        _with_scaled_gradient(key, of_query),
        _with_scaled_gradient(value, of_value),
    ]
    others = {name: each for name, each in keywords.items() if name not in names}
    output: Tensor = operation(*scaled, *args[3:], **others)
    return output


def hold_denominator(operation: Operation, args: Arguments, keywords: Keywords) -> Tensor:
    """Take the denominator of a quotient for a constant: it is a normalisation's deviation."""
    numerator, denominator, *others = args
    if len(_differentiable((numerator, denominator))) == 2:
        denominator = denominator.detach()
    output: Tensor = operation(numerator, denominator, *others, **keywords)
    return output


def hold_result(operation: Operation, args: Arguments, keywords: Keywords) -> Tensor:
    """Take the result for a constant: 1/√x is how an RMSNorm computes its deviation."""
    output: Tensor = operation(*args, **keywords).detach()
    return output


def take_ratio_as_slope(operation: Operation, args: Arguments, keywords: Keywords) -> Tensor:
    """Give an activation f, with f(0) = 0, the slope f(x)/x.

    An activation that works in place keeps its derivative: its input is gone. (That of ReLU is
    f(x)/x anyway.)
    """
    x = args[0] if args else keywords["input"]
    if not x.requires_grad or keywords.get("inplace"):
        output: Tensor = operation(*args, **keywords)
        return output
    with torch.no_grad():
        output = operation(*args, **keywords)
    return with_ratio_as_slope(x, output)


def hold_layer_deviation(operation: Operation, args: Arguments, keywords: Keywords) -> Tensor:
    """Take the deviation of a LayerNorm for a constant; the mean stays a function of the input."""
    bound = _by_name(("input", "normalized_shape", "weight", "bias", "eps"), args, keywords)
    if not bound["input"].requires_grad:
        output: Tensor = operation(*args, **keywords)
        return output
    values = (bound["input"], tuple(bound["normalized_shape"]), bound.get("weight"))
    norm: Tensor = _LayerNorm.apply(*values, bound.get("bias"), bound.get("eps", 1e-5))  # type: ignore[no-untyped-call]
    return norm


def hold_root_mean_square(operation: Operation, args: Arguments, keywords: Keywords) -> Tensor:
    """Take the root mean square of an RMSNorm for a constant."""
    bound = _by_name(("input", "normalized_shape", "weight", "eps"), args, keywords)
    if not bound["input"].requires_grad:
        output: Tensor = operation(*args, **keywords)
        return output
    values = (bound["input"], tuple(bound["normalized_shape"]), bound.get("weight"))
    norm: Tensor = _RMSNorm.apply(*values, bound.get("eps"))  # type: ignore[no-untyped-call]
    return norm


def with_ratio_as_slope(x: Tensor, output: Tensor) -> Tensor:
    """Return the values f(x) of an activation, with f(x)/x as the slope at each x.

    Args:
        x: The input of an activation f, with f(0) = 0.
        output: f(x); how it was computed does not matter.
    """
    ratio: Tensor = _RatioAsSlope.apply(x, output.detach())  # type: ignore[no-untyped-call]
    return ratio


def _differentiable(values: Sequence[object]) -> list[Tensor]:
    return [each for each in values if isinstance(each, Tensor) and each.requires_grad]


def _scale_gradient(tensor: Tensor, factor: float) -> None:
    """Scale the gradient of a tensor in the backward pass."""
    tensor.register_hook(partial(torch.mul, factor))  # type: ignore[no-untyped-call]


def _with_scaled_gradient(tensor: Tensor, factor: float) -> Tensor:
    """Return the same values; the gradient that reaches `tensor` through them is scaled."""
    if factor == 1 or not tensor.requires_grad:
        return tensor
    # An alias, since `tensor` may have other uses, whose gradients are not to be scaled.
    alias = tensor.view_as(tensor)
    _scale_gradient(alias, factor)
    return alias


def _by_name(names: Sequence[str], args: Arguments, keywords: Keywords) -> dict[str, Any]:
    """Return the arguments of a call by name; those that were not given are missing."""
    return {**dict(zip(names, args, strict=False)), **keywords}


class _RatioAsSlope(torch.autograd.Function):
    """The identity on f(x), with f(x)/x as its slope in x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, output: Tensor) -> Tensor:  # noqa: ANN401
        # The ratio is kept, not x and f(x): either may be changed in place later. Where x is 0,
        # f(x)/x has no value; x·G is 0 there whatever the slope.
        ratio = torch.nan_to_num_(output / x, nan=0.0, posinf=0.0, neginf=0.0)
        ctx.save_for_backward(ratio)
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (ratio,) = ctx.saved_tensors
        return gradients[0] * ratio, None


class _LayerNorm(torch.autograd.Function):
    """LayerNorm whose deviation is a constant in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        shape: tuple[int, ...],
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> Tensor:
        output, mean, reciprocal = torch.native_layer_norm(x, shape, weight, bias, eps)
        ctx.shape = shape
        ctx.save_for_backward(weight, mean, reciprocal)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        weight, mean, reciprocal = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        # torch's kernel, one pass over the gradient: with an input that is equal to its mean, the
        # term of the deviation, which is multiplied by (x − mean), vanishes.
        equal_to_mean = torch.zeros_like(gradient)
        result, _, _ = torch.ops.aten.native_layer_norm_backward(
            gradient,
            equal_to_mean,
            ctx.shape,
            torch.zeros_like(mean),
            reciprocal,
            weight,
            None,
            [True, False, False],
        )
        return result, None, None, None, None


class _RMSNorm(torch.autograd.Function):
    """RMSNorm whose root mean square is a constant in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        shape: tuple[int, ...],
        weight: Tensor | None,
        eps: float | None,
    ) -> Tensor:
        dimensions = tuple(range(-len(shape), 0))
        least = torch.finfo(x.dtype).eps if eps is None else eps
        mean_square = x.float().square().mean(dimensions, keepdim=True)
        ctx.save_for_backward(weight, torch.rsqrt(mean_square + least).to(x.dtype))
        return rms_norm(x, list(shape), weight, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        weight, reciprocal = ctx.saved_tensors
        gradient = gradients[0] if weight is None else gradients[0] * weight
        return gradient * reciprocal, None, None, None
