"""Weights into a module, strictly: what the file lacks is never made up."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeAlias

import torch
from torch import nn
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PreTrainedModel

from saliency_cli.checkpoints.contents import Weights
from saliency_cli.checkpoints.tensors import check_finite
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import listed, visible

Mismatch: TypeAlias = tuple[str, torch.Size, torch.Size]
"""A key, the shape of its tensor in the file, and the shape that the module wants."""


def architecture(config: Any, *, name: str) -> type[PreTrainedModel]:  # noqa: ANN401
    """Return transformers' sequence classifier for this config.

    Raises:
        CheckpointError: transformers has none for this kind of model.
    """
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        kind = visible(str(config.model_type))
        raise CheckpointError(
            f"{visible(name)}: transformers has no text classifier of type {kind}"
        )
    return MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]  # type: ignore[no-any-return]


def build(
    model: type[PreTrainedModel],
    config: Any,  # noqa: ANN401
    weights: Weights,
    *,
    name: str,
    elsewhere: Collection[str] = (),
) -> nn.Module:
    """Build `model` in float32 from a state dict; every key must fit.

    Keys that are `elsewhere` may be missing: an adapter brings them, and is held to it.

    Raises:
        CheckpointError: keys are missing, left over or of another shape; all are told.
    """
    module: nn.Module
    module, info = model.from_pretrained(
        None,
        config=config,
        state_dict=unwrapped(weights, lambda: shapes(model, config)),
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # collects them for _refuse instead of stopping at one
        local_files_only=True,
        weights_only=True,
        trust_remote_code=False,
    )
    _refuse(
        module,
        name=name,
        missing=set(info["missing_keys"]) - set(elsewhere),
        unexpected=info["unexpected_keys"],
        mismatched=[each for each in info["mismatched_keys"] if each[0] not in elsewhere],
    )
    check_finite(module.named_parameters(), name=name)
    return frozen(module)


def fill(module: nn.Module, weights: Weights, *, name: str) -> nn.Module:
    """Put a state dict into a module of one's own; every key must fit.

    Raises:
        CheckpointError: keys are missing, left over or of another shape; all are told.
    """
    wanted = module.state_dict(keep_vars=True)
    weights = unwrapped(weights, lambda: wanted)
    here = {id(wanted[key]) for key in weights if key in wanted}
    _refuse(
        module,
        name=name,
        missing=[key for key, value in wanted.items() if id(value) not in here],
        unexpected=weights.keys() - wanted.keys(),
        mismatched=[
            (key, value.shape, wanted[key].shape)
            for key, value in weights.items()
            if key in wanted and value.shape != wanted[key].shape
        ],
    )
    module.load_state_dict(weights, strict=False)  # tied weights need only one of their names
    check_finite(module.named_parameters(), name=name)
    return frozen(module)


def frozen(module: nn.Module) -> nn.Module:
    """Return the module in eval mode, its parameters asking for no gradient."""
    return module.eval().requires_grad_(requires_grad=False)


def shapes(model: type[PreTrainedModel], config: Any) -> dict[str, torch.Size]:  # noqa: ANN401
    """Return the shapes of the tensors that `model` has by this config; none is allocated."""
    with torch.device("meta"):
        return {key: tensor.shape for key, tensor in model(config).state_dict().items()}


def misfits(
    *, missing: Iterable[str], unexpected: Iterable[str], mismatched: Iterable[Mismatch]
) -> str:
    """Return in one line which keys do not fit and why, or nothing where all do."""
    problems = {
        "missing": sorted(missing),
        "unexpected": sorted(unexpected),
        "wrong shape": [
            f"{key} {_shape(there)} for {_shape(wanted)}"
            for key, there, wanted in sorted(mismatched)
        ],
    }
    return "; ".join(f"{what}: {listed(keys)}" for what, keys in problems.items() if keys)


def _refuse(
    module: nn.Module,
    *,
    name: str,
    missing: Iterable[str],
    unexpected: Iterable[str],
    mismatched: Iterable[Mismatch],
) -> None:
    buffers = {key for key, _ in module.named_buffers()}  # older files hold position_ids
    unexpected = set(unexpected) - buffers
    told = misfits(missing=missing, unexpected=unexpected, mismatched=mismatched)
    if told:
        raise CheckpointError(
            f"{visible(name)} does not fit {visible(type(module).__name__)}: {told}",
            "nothing is ever filled in with random weights; give the config it was trained with, "
            "and as many --labels as it has logits",
        )


def _shape(size: torch.Size) -> str:
    return "×".join(map(str, size)) or "scalar"


COMPILED = "_orig_mod"
"""torch.compile puts it wherever in the module it was called, not only in front."""


def unwrapped(weights: Weights, wanted: Callable[[], Collection[str]]) -> Weights:
    """Return the weights under the names that agree best with those that are `wanted`.

    A name is only ever shortened as all others are. Whether every key then fits is for the loader
    to see, which takes nothing less. `wanted` is asked only where there is a choice.
    """
    candidates = list(_candidates(weights))
    if len(candidates) == 1:
        return weights
    names = set(wanted())
    return max(candidates, key=lambda candidate: len(names.intersection(candidate)))


def _candidates(weights: Weights) -> Iterator[Weights]:
    """Yield the weights as they are, then without one more component in front each time."""
    yield weights
    paths = {key: [part for part in key.split(".") if part != COMPILED] for key in weights}
    depth = 0
    while True:
        named = {".".join(path[depth:]): weights[key] for key, path in paths.items()}
        if len(named) < len(weights) or "" in named:
            return
        if named.keys() != weights.keys():
            yield named
        if len({path[depth] for path in paths.values()}) > 1:
            return
        depth += 1
