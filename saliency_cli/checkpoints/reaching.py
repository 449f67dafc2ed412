"""Keys of a config that would run somebody's code or fetch something: refused by their names."""

from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.json_files import entries
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import excerpt, visible

REFUSED = {
    "auto_map": "code that comes with the model, which is never run",
    "quantization_config": "quantized weights, which give no gradients",
    "kernel_config": "kernels from a hub, which are never fetched",
    "use_kernels": "kernels from a hub, which are never fetched",
}
"""Keys that may only be there without a value."""

BUILT_IN = {"eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm"}
"""Implementations that are in transformers itself; any other name may be a repository of a hub."""

_IMPLEMENTATIONS = ("attn_implementation", "experts_implementation")


def check_reach(content: dict[str, Any], *, path: Path) -> None:
    """See that a config, at any depth, asks for nothing that is not in transformers itself.

    Raises:
        CheckpointError: a key does; it is told.
    """
    for key, value in entries(content):
        if key in REFUSED and value:
            raise CheckpointError(
                f"{visible(str(path))}: {visible(key)} asks for {REFUSED[key]}",
                "give a model of one of transformers' own architectures, saved in plain weights",
            )
        if any(name in key for name in _IMPLEMENTATIONS):
            for _, asked in entries({key: value}):
                _check_implementation(key, asked, path=path)


def _check_implementation(key: str, asked: object, *, path: Path) -> None:
    if isinstance(asked, str) and asked not in BUILT_IN:
        raise CheckpointError(
            f"{visible(str(path))}: {visible(key)} asks for '{excerpt(asked)}', "
            "which is not part of transformers",
            "take the key out of the config",
        )
