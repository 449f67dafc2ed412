"""Read the folder of a PEFT adapter and merge the adapter into its base model."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from saliency_cli.checkpoints.adapter_checks import check_ranks, read_checked_config
from saliency_cli.checkpoints.contents import CheckpointFiles, Weights
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.checkpoints.safetensors_file import read_safetensors
from saliency_cli.checkpoints.torch_file import read_tensors
from saliency_cli.checkpoints.weights import describe_mismatches, freeze
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, visible

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER_CONFIG = "adapter_config.json"
WEIGHT_FILES: dict[str, Callable[[Path], Weights]] = {
    "adapter_model.safetensors": read_safetensors,
    "adapter_model.bin": read_tensors,
}
BASE_PREFIX = "base_model.model."
"""The prefix that PEFT adds to the names of the base model's tensors."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds a PEFT adapter."""
    return (folder / ADAPTER_CONFIG).is_file()


def find_adapter(
    folder: Path, *, base: Path | None, detect: Callable[[Path], CheckpointFiles]
) -> CheckpointFiles:
    """Return the files of an adapter and of its base model.

    Args:
        folder: The adapter's folder.
        base: The value of `--base-model`; None takes what the adapter's config names.
        detect: Returns the files of the base model at a path.

    Raises:
        CheckpointError: The adapter has no weights, or its base model is not on this disk.
    """
    for name, read in WEIGHT_FILES.items():
        path = folder / name
        if path.is_file():
            base_files = detect(base or _find_base_model(folder))
            return CheckpointFiles(
                "PEFT adapter",
                path,
                files=(folder / ADAPTER_CONFIG, path, *base_files.files),
                folders=(folder, *base_files.folders),
                read=read,
                base=base_files,
            )
    raise CheckpointError(f"{visible(str(folder))} holds no weights ({' '.join(WEIGHT_FILES)})")


def _find_base_model(folder: Path) -> Path:
    config = folder / ADAPTER_CONFIG
    with translate_errors(config, "the adapter's config"):
        name = str(read_checked_config(config)["base_model_name_or_path"])
    for path in (folder / name, Path(name)):
        if path.exists():
            return path
    raise CheckpointError(
        f"{visible(str(config))}: its base model '{excerpt(name)}' is not on this disk, "
        "and nothing is downloaded",
        "name its folder with --base-model",
    )


def adapter_tensor_shapes(weights: Weights) -> dict[str, torch.Size]:
    """Return the shapes of the adapter's tensors, by their names in the base model.

    A tensor that replaces one of the base model's, such as the head's, has the same name there.
    """
    return {key.removeprefix(BASE_PREFIX): tensor.shape for key, tensor in weights.items()}


def count_head_outputs(
    head: Mapping[str, torch.Size], expected: Mapping[str, torch.Size], *, default: int
) -> int:
    """Return the number of logits of the adapter's own head, which the base's config seldom has.

    Args:
        head: The shapes of the adapter's tensors, by the base model's names.
        expected: The shapes of the base model's tensors.
        default: The number of labels that `expected` was built with. The tensors of `expected` with
            that many rows are the head's last; their rows in `head` are counted.

    Returns:
        The number of rows, or `default` if the adapter has no such tensors or they disagree.
    """
    last = (key for key, shape in head.items() if shape and expected.get(key, ())[:1] == (default,))
    rows = {head[key][0] for key in last}
    return rows.pop() if len(rows) == 1 else default


def merge_adapter(base: nn.Module, config: Any, weights: Weights, *, path: Path) -> nn.Module:  # noqa: ANN401
    """Return the base model with an adapter merged into it; every weight of the adapter must fit.

    Args:
        base: The base model, changed in place.
        config: The adapter's PEFT config.
        weights: The adapter's tensors.
        path: The adapter's file of weights, for messages.

    Raises:
        CheckpointError: The adapter does not fit the base model.
    """
    with translate_errors(path, "the adapter"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about names and initial weights, which are replaced
        model = _attach_adapter(base, config)
        _load_adapter_weights(model, weights, path=path)
        return freeze(model.merge_and_unload())


def read_adapter_config(folder: Path, weights: Weights) -> Any:  # noqa: ANN401 - many classes
    """Return the PEFT config of an adapter's folder.

    Args:
        folder: The adapter's folder.
        weights: The adapter's tensors, which bound its ranks.

    Raises:
        CheckpointError: PEFT is not installed, this kind of adapter cannot be merged, or the config
            fails a check.
    """
    content = read_checked_config(folder / ADAPTER_CONFIG)
    check_ranks(content, weights, path=folder / ADAPTER_CONFIG)
    try:
        from peft import PeftConfig  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise CheckpointError(
            f"{visible(str(folder))} is a PEFT adapter, and peft is not installed",
            "pip install 'saliency-cli[peft]'",
        ) from error
    with translate_errors(folder / ADAPTER_CONFIG, "the adapter's config"):
        config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise CheckpointError(
            f"{visible(str(folder))}: an adapter of type {visible(str(config.peft_type.value))} "
            "cannot be merged into its base model",
            "use LoRA or a similar adapter, or save the whole model",
        )
    if getattr(config, "megatron_config", None):  # names a module that PEFT would import
        path = visible(str(folder / ADAPTER_CONFIG))
        raise CheckpointError(f"{path}: megatron_config is not supported")
    config.inference_mode = True
    return config


def _attach_adapter(base: nn.Module, config: Any) -> "PeftModel":  # noqa: ANN401
    from peft import get_peft_model  # noqa: PLC0415 - an extra

    return get_peft_model(base, config)


def _load_adapter_weights(model: "PeftModel", weights: Weights, *, path: Path) -> None:
    from peft import get_peft_model_state_dict, set_peft_model_state_dict  # noqa: PLC0415

    expected = get_peft_model_state_dict(model)
    mismatches = describe_mismatches(
        missing=expected.keys() - weights.keys(),
        unexpected=weights.keys() - expected.keys(),
        mismatched=[
            (key, weights[key].shape, expected[key].shape)
            for key in expected.keys() & weights.keys()
            if weights[key].shape != expected[key].shape
        ],
    )
    if mismatches:
        raise CheckpointError(
            f"{visible(str(path))} does not fit its base model: {mismatches}",
            "missing weights are never initialised at random; "
            "give the base model that the adapter was trained on",
        )
    set_peft_model_state_dict(model, weights)
