"""Load a state dict into a module, strictly: no missing weight is ever initialised at random.

Wrappers such as DataParallel and torch.compile put prefixes before the names of tensors;
`strip_prefixes` removes them first.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import nn

from saliency_cli.checkpoints.contents import Weights
from saliency_cli.checkpoints.head_checks import check_has_head
from saliency_cli.checkpoints.meta_device import MetaTensors, meta_device
from saliency_cli.checkpoints.tensors import check_finite
from saliency_cli.errors import CheckpointError
from saliency_cli.model.transformers_import import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    PreTrainedModel,
)
from saliency_cli.safe_text import excerpt, listed, visible

ShapeMismatch: TypeAlias = tuple[str, torch.Size, torch.Size]
"""A key, the shape of its tensor in the file, and the shape of the module's tensor."""

COMPILED = "_orig_mod"
"""The name that torch.compile inserts wherever it was called, not only at the front."""


def classifier_class(config: Any, *, name: str) -> type[PreTrainedModel]:  # noqa: ANN401
    """Return the sequence classifier that transformers has for a config.

    Args:
        config: The transformers config.
        name: The checkpoint's path, for messages.

    Raises:
        CheckpointError: transformers has no classifier for this type of model.
    """
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        kind = excerpt(str(config.model_type))
        raise CheckpointError(
            f"{visible(name)}: transformers has no text classifier of type {kind}"
        )
    return MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]  # type: ignore[no-any-return]


def load_pretrained(
    model: type[PreTrainedModel],
    config: Any,  # noqa: ANN401
    weights: Weights,
    *,
    name: str,
    optional: Collection[str] = (),
    options: Mapping[str, Any] = MappingProxyType({}),
) -> nn.Module:
    """Return a transformers model in float32 with the weights of a state dict; every key must fit.

    Args:
        model: The class to build.
        config: Its config.
        weights: The state dict, possibly with prefixes.
        name: The checkpoint's path, for messages.
        optional: Keys that may be missing or have another shape, since an adapter replaces them.
        options: Further arguments of the class.

    Raises:
        CheckpointError: Keys are missing, unexpected or of another shape (the message lists them
            all), or weights are not finite.
    """
    module: nn.Module
    weights = strip_prefixes(weights, lambda: state_dict_shapes(model, config, options))
    with MetaTensors():
        module, info = model.from_pretrained(
            None,
            config=config,
            state_dict=weights,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # lists them all for _check_keys, not only the first
            local_files_only=True,
            weights_only=True,
            trust_remote_code=False,
            **options,
        )
    missing = set(info["missing_keys"]) - set(optional)
    check_has_head(
        model,
        config,
        expected=module.state_dict(),
        missing=missing,
        unexpected=info["unexpected_keys"],
        name=name,
    )
    _check_keys(
        module,
        name=name,
        missing=missing,
        unexpected=info["unexpected_keys"],
        mismatched=[each for each in info["mismatched_keys"] if each[0] not in optional],
    )
    check_finite(module.named_parameters(), name=name)
    return freeze(module)


def load_into(module: nn.Module, weights: Weights, *, name: str) -> nn.Module:
    """Load a state dict into a user's module; every key must fit.

    Args:
        module: The module, changed in place.
        weights: The state dict, possibly with prefixes.
        name: The checkpoint's path, for messages.

    Returns:
        The same module, frozen.

    Raises:
        CheckpointError: Keys are missing, unexpected or of another shape (the message lists them
            all), or weights are not finite.
    """
    expected = module.state_dict(keep_vars=True)
    weights = strip_prefixes(weights, lambda: expected)
    # Tied weights are one tensor under several names; one of the names is enough.
    provided = {id(expected[key]) for key in weights if key in expected}
    _check_keys(
        module,
        name=name,
        missing=[key for key, tensor in expected.items() if id(tensor) not in provided],
        unexpected=weights.keys() - expected.keys(),
        mismatched=[
            (key, tensor.shape, expected[key].shape)
            for key, tensor in weights.items()
            if key in expected and tensor.shape != expected[key].shape
        ],
    )
    module.load_state_dict(weights, strict=False)
    check_finite(module.named_parameters(), name=name)
    return freeze(module)


def freeze(module: nn.Module) -> nn.Module:
    """Return the module in eval mode, its parameters without gradients."""
    return module.eval().requires_grad_(requires_grad=False)


def state_dict_shapes(
    model: type[PreTrainedModel],
    config: Any,  # noqa: ANN401
    options: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, torch.Size]:
    """Return the names and shapes of the tensors of a model, without allocating them.

    Args:
        model: The class.
        config: Its transformers config.
        options: Further arguments of the class.
    """
    with meta_device():
        module = model(config, **options)
        return {key: tensor.shape for key, tensor in module.state_dict().items()}


def describe_mismatches(
    *, missing: Iterable[str], unexpected: Iterable[str], mismatched: Iterable[ShapeMismatch]
) -> str:
    """Return one line that lists the keys that do not fit, or an empty string if all do.

    Args:
        missing: Keys that the file lacks.
        unexpected: Keys that the module lacks.
        mismatched: Keys whose shapes differ.
    """
    problems = {
        "missing": sorted(missing),
        "unexpected": sorted(unexpected),
        "wrong shape": [
            f"{key} {_format_shape(in_file)} for {_format_shape(in_module)}"
            for key, in_file, in_module in sorted(mismatched)
        ],
    }
    return "; ".join(f"{kind}: {listed(keys)}" for kind, keys in problems.items() if keys)


def _check_keys(
    module: nn.Module,
    *,
    name: str,
    missing: Iterable[str],
    unexpected: Iterable[str],
    mismatched: Iterable[ShapeMismatch],
) -> None:
    """Raise `CheckpointError` if any key does not fit `module`."""
    buffers = {key for key, _ in module.named_buffers()}  # older files hold position_ids
    unexpected = set(unexpected) - buffers
    mismatches = describe_mismatches(missing=missing, unexpected=unexpected, mismatched=mismatched)
    if mismatches:
        raise CheckpointError(
            f"{visible(name)} does not fit {visible(type(module).__name__)}: {mismatches}",
            "missing weights are never initialised at random; give the config that the model was "
            "trained with, and as many --labels as the model has logits",
        )


def _format_shape(size: torch.Size) -> str:
    return "×".join(map(str, size)) or "scalar"


def strip_prefixes(weights: Weights, expected: Callable[[], Collection[str]]) -> Weights:
    """Return the weights without the prefixes that wrappers put before their names.

    The same number of leading components is removed from every key: the number for which most keys
    are keys of the module. The caller checks whether all of them fit.

    Args:
        weights: The state dict.
        expected: Returns the module's keys; called only if there is a choice.
    """
    candidates = list(_prefix_candidates(weights))
    if len(candidates) == 1:
        return weights
    names = set(expected())
    return max(candidates, key=lambda candidate: len(names.intersection(candidate)))


def _prefix_candidates(weights: Weights) -> Iterator[Weights]:
    """Yield the weights as they are, then with one more leading component removed each time."""
    yield weights
    paths = {key: [part for part in key.split(".") if part != COMPILED] for key in weights}
    depth = 0
    while True:
        renamed = {".".join(path[depth:]): weights[key] for key, path in paths.items()}
        if len(renamed) < len(weights) or "" in renamed:
            return
        if renamed.keys() != weights.keys():
            yield renamed
        if len({path[depth] for path in paths.values()}) > 1:
            return
        depth += 1
