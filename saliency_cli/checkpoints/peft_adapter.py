"""A folder that PEFT wrote: what was trained beside a base model, merged back into it."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from saliency_cli.checkpoints.contents import Saved, Weights
from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.checkpoints.safetensors_file import read_safetensors
from saliency_cli.checkpoints.torch_file import read_tensors
from saliency_cli.checkpoints.weights import frozen, misfits
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible

if TYPE_CHECKING:
    from peft import PeftModel

CONFIG = "adapter_config.json"
WEIGHTS: dict[str, Callable[[Path], Weights]] = {
    "adapter_model.safetensors": read_safetensors,
    "adapter_model.bin": read_tensors,
}
ROOT = "base_model.model."
"""What PEFT puts before the base model's own names."""


def is_adapter(folder: Path) -> bool:
    """Say whether a folder is an adapter's."""
    return (folder / CONFIG).is_file()


def find_adapter(folder: Path, *, base: Path | None, find: Callable[[Path], Saved]) -> Saved:
    """Return where an adapter's weights are, and how its base model was saved.

    Raises:
        CheckpointError: its weights are not there, or its base model is not on this disk.
    """
    for name, read in WEIGHTS.items():
        path = folder / name
        if path.is_file():
            below = find(base or _base(folder))
            return Saved(
                "PEFT adapter",
                path,
                files=(folder / CONFIG, path, *below.files),
                folders=(folder, *below.folders),
                read=read,
                base=below,
            )
    raise CheckpointError(f"{visible(str(folder))} holds no weights ({' '.join(WEIGHTS)})")


def _base(folder: Path) -> Path:
    config = folder / CONFIG
    with refusing(config, "the adapter's config"):
        name = str(json.loads(config.read_text(encoding="utf-8"))["base_model_name_or_path"])
    for path in (folder / name, Path(name)):
        if path.exists():
            return path
    raise CheckpointError(
        f"{visible(str(config))}: its base model '{visible(name)}' is not on this disk, "
        "and nothing is downloaded",
        "name its folder with --base-model",
    )


def brought(weights: Weights) -> dict[str, torch.Size]:
    """Return the shapes of the base model's own tensors that the adapter brings whole: its head."""
    return {key.removeprefix(ROOT): value.shape for key, value in weights.items()}


def outputs_of(
    head: Mapping[str, torch.Size], wanted: Mapping[str, torch.Size], *, default: int
) -> int:
    """Return how many logits the adapter's own head gives; its base's config seldom says.

    Its last tensors are those that have a row for each of the `default` labels in `wanted`.
    """
    last = (key for key, shape in head.items() if shape and wanted.get(key, ())[:1] == (default,))
    rows = {head[key][0] for key in last}
    return rows.pop() if len(rows) == 1 else default


def merge(base: nn.Module, config: Any, weights: Weights, *, path: Path) -> nn.Module:  # noqa: ANN401
    """Merge an adapter into its base model; each of its weights must be there.

    Raises:
        CheckpointError: the adapter does not fit.
    """
    with refusing(path, "the adapter"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names and of initial weights, which are replaced
        model = _adapted(base, config)
        _fill(model, weights, path=path)
        return frozen(model.merge_and_unload())


def read_adapter_config(folder: Path) -> Any:  # noqa: ANN401 - a class for each kind of adapter
    """Read what kind of adapter a folder holds.

    Raises:
        CheckpointError: PEFT is not installed, or this kind cannot be merged.
    """
    try:
        from peft import PeftConfig  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CheckpointError(
            f"{visible(str(folder))} is a PEFT adapter, and peft is not installed",
            "pip install 'saliency-cli[peft]'",
        ) from error
    with refusing(folder / CONFIG, "the adapter's config"):
        config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise CheckpointError(
            f"{visible(str(folder))}: an adapter of type {visible(str(config.peft_type.value))} "
            "cannot be merged into its base model",
            "merge a LoRA or a like adapter, or save the whole model",
        )
    if getattr(config, "megatron_config", None):  # names a module that PEFT would import
        raise CheckpointError(f"{visible(str(folder / CONFIG))}: megatron_config is not supported")
    config.inference_mode = True
    return config


def _adapted(base: nn.Module, config: Any) -> "PeftModel":  # noqa: ANN401
    from peft import get_peft_model  # noqa: PLC0415 - an extra

    return get_peft_model(base, config)


def _fill(model: "PeftModel", weights: Weights, *, path: Path) -> None:
    from peft import get_peft_model_state_dict, set_peft_model_state_dict  # noqa: PLC0415

    wanted = get_peft_model_state_dict(model)
    told = misfits(
        missing=wanted.keys() - weights.keys(),
        unexpected=weights.keys() - wanted.keys(),
        mismatched=[
            (key, weights[key].shape, wanted[key].shape)
            for key in wanted.keys() & weights.keys()
            if weights[key].shape != wanted[key].shape
        ],
    )
    if told:
        raise CheckpointError(
            f"{visible(str(path))} does not fit its base model: {told}",
            "nothing is ever filled in with random weights; give the base it was trained on",
        )
    set_peft_model_state_dict(model, weights)
