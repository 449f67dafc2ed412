"""Conservative propagation: a backward pass that neither adds nor loses relevance on its way.

The relevance of a tensor x with the gradient G is x·G. Autograd keeps its sum through linear layers
only. The rules here change what autograd computes for other operations, and no value of the forward
pass:

- LayerNorm and RMSNorm: the deviation that they divide by is a constant (Ali et al., "XAI for
  Transformers: better explanations through conservative propagation", 2022, section 4).
- A product of two tensors that depend on the text gives each of them half of the gradient
  (Achtibat et al., "AttnLRP: attention-aware layer-wise relevance propagation for transformers",
  2024, section 3.3). Two of them follow each other in attention, so that queries, keys and values
  have ¼, ¼ and ½; in a gated MLP each branch has ½.
- An activation f has the slope f(x)/x (section 3.2 there).

Rules belong to operations of torch, not to architectures: whichever module calls the operation, its
rule holds. They hold in one thread and in one `with` block, so another replica is not affected. To
add a rule, write a function in `conservative_rules` and enter its operations in `_OPERATIONS`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from saliency_cli.model.conservative_rules import (
    Arguments,
    Keywords,
    Operation,
    Rule,
    hold_denominator,
    hold_layer_deviation,
    hold_result,
    hold_root_mean_square,
    scale_attention,
    share_among_factors,
    share_among_last_factors,
    take_ratio_as_slope,
    with_ratio_as_slope,
)
from saliency_cli.model.transformers_import import activations


def _unchecked(function: Any) -> Operation:  # noqa: ANN401
    """Return a copy of a torch function whose operations reach the mode, but not the whole call.

    A torch function that is written in Python passes its whole call to the mode, and what is called
    from there does not reach the mode again, so its operations would have no rule.
    """
    names = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    unchecked = {**function.__globals__, **dict.fromkeys(names, lambda *_values: False)}
    copy = FunctionType(
        function.__code__, unchecked, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


COMPOSITES: dict[Operation, Operation] = {
    each: _unchecked(each)
    for each in (functional.multi_head_attention_forward, functional.normalize)
}
"""Functions of torch whose parts have rules: `nn.MultiheadAttention`, and x/‖x‖."""
_OPERATIONS: dict[Rule, tuple[Operation, ...]] = {
    share_among_factors: (
        *(torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__, Tensor.mul_, Tensor.__imul__),
        *(torch.multiply, Tensor.multiply, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm),
        *(torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__),
        *(torch.einsum, functional.linear, functional.bilinear),
    ),
    share_among_last_factors: (torch.baddbmm, Tensor.baddbmm, torch.addcmul, Tensor.addcmul),
    scale_attention: (functional.scaled_dot_product_attention,),
    hold_denominator: (
        *(torch.div, Tensor.div, Tensor.__truediv__, Tensor.div_, Tensor.__itruediv__),
        *(torch.true_divide, Tensor.true_divide),
    ),
    hold_result: (torch.rsqrt, Tensor.rsqrt),
    hold_layer_deviation: (functional.layer_norm, torch.layer_norm),
    hold_root_mean_square: (functional.rms_norm, torch.rms_norm),
    take_ratio_as_slope: (
        *(functional.gelu, functional.silu, functional.mish, functional.elu, functional.selu),
        *(functional.celu, functional.hardswish, functional.hardtanh, functional.leaky_relu),
        *(functional.relu, torch.relu, Tensor.relu, functional.relu6, functional.softsign),
        *(functional.tanh, torch.tanh, Tensor.tanh),
    ),
}
RULES = {operation: rule for rule, operations in _OPERATIONS.items() for operation in operations}
ACTIVATIONS = tuple(
    each
    for each in vars(activations).values()
    if isinstance(each, type)
    and issubclass(each, nn.Module)
    and each.__name__ not in {"LaplaceActivation", "SqrtSoftplusActivation"}
)
"""Classes of activations that may consist of several operations: the rule is for their results.
The two that are left out are not 0 at 0, so f(x)/x has no limit there."""


class _RuleMode(TorchFunctionMode):
    """Runs the operations of this thread by their rules."""

    def __torch_function__(
        self,
        operation: Operation,
        _types: object,
        args: Arguments = (),
        kwargs: Keywords | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operation returns
        keywords = kwargs or {}
        rule = RULES.get(operation)
        if rule is not None:
            return rule(operation, args, keywords)
        if operation in COMPOSITES:
            with self:
                return COMPOSITES[operation](*args, **keywords)
        return operation(*args, **keywords)


@contextmanager
def conservative_propagation(module: nn.Module) -> Iterator[None]:
    """Apply the rules to what a module computes in this thread, for its backward pass.

    Args:
        module: The module that will be run; no other thread runs it meanwhile.
    """
    with ExitStack() as stack:
        for each in module.modules():
            if isinstance(each, ACTIVATIONS):
                handle = each.register_forward_hook(_replace_slope)
                stack.callback(handle.remove)
        stack.enter_context(_RuleMode())
        yield


def _replace_slope(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
    return with_ratio_as_slope(args[0], output) if output.requires_grad else output


def operations_without_rule(module: nn.Module, result: Tensor) -> list[str]:
    """Return the names of operations that lose or add relevance, for want of a rule.

    These are normalisations, recurrent layers and functions whose backward pass is not torch's own
    (as fused attention of another package), which the rules cannot know.

    Args:
        module: The module.
        result: What it computed under `conservative_propagation`, with its graph.
    """
    # A recurrent layer with frozen weights leaves no node of its own in the graph.
    found = {type(each).__name__ for each in module.modules() if isinstance(each, nn.RNNBase)}
    seen, waiting = set[Any](), [result.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if not _is_known(node):
            found.add(node.name().rstrip("0123456789").removesuffix("Backward"))
        waiting += [parent for parent, _ in node.next_functions]
    return sorted(found)


_UNKNOWN = ("LayerNorm", "GroupNorm", "RmsNorm", "RMSNorm")


def _is_known(node: Any) -> bool:  # noqa: ANN401
    function = getattr(node, "_forward_cls", None)
    if function is not None:
        return str(function.__module__).startswith(__package__)
    return not any(name in node.name() for name in _UNKNOWN)
