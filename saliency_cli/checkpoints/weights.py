"""Weights into a module, strictly: what the file lacks is never made up."""

from typing import Any

import torch
from torch import nn
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PreTrainedModel

from saliency_cli.checkpoints.tensors import check_finite
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import listed, visible


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


def build(model: type[PreTrainedModel], *, name: str, **source: Any) -> nn.Module:  # noqa: ANN401
    """Build `model` in float32 from a `state_dict` or a folder; every key must fit.

    Raises:
        CheckpointError: keys are missing, left over or of another shape, or their numbers are not
            finite; all are told.
    """
    module: nn.Module
    module, info = model.from_pretrained(
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # collects them for _check_keys instead of stopping at one
        local_files_only=True,
        weights_only=True,
        trust_remote_code=False,
        **source,
    )
    _check_keys(module, info, name=name)
    check_finite(module.named_parameters(), name=name)
    return module.eval().requires_grad_(requires_grad=False)


def _check_keys(module: nn.Module, info: dict[str, Any], *, name: str) -> None:
    buffers = {key for key, _ in module.named_buffers()}  # older files hold position_ids
    mismatched = [
        f"{key} {_shape(there)} for {_shape(wanted)}"
        for key, there, wanted in sorted(info["mismatched_keys"])
    ]
    problems = {
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(set(info["unexpected_keys"]) - buffers),
        "wrong shape": mismatched,
    }
    told = "; ".join(f"{what}: {listed(keys)}" for what, keys in problems.items() if keys)
    if told:
        raise CheckpointError(
            f"{visible(name)} does not fit {type(module).__name__}: {told}",
            "nothing is ever filled in with random weights; give the config it was trained with",
        )


def _shape(size: torch.Size) -> str:
    return "×".join(map(str, size)) or "scalar"
