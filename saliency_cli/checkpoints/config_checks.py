"""Sizes that a config implies, seen before anything is allocated."""

import copy
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from transformers import PreTrainedModel
from transformers.initialization import no_init_weights

from saliency_cli.checkpoints.json_files import entries
from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, visible

LARGEST = 1 << 53
"""No size of a model is beyond what JSON readers agree on."""

MOST_COUNTED = 100_000
"""Layers and labels: transformers makes lists of so many entries before it builds anything."""

SLACK = 1 << 20
"""Numbers that a config may imply beyond the file's bytes: a missing head is told by its name."""

_COUNTED = re.compile(r"num_labels|n_layers?|.*_layers|.*depths?")
_BYTES_PER_TENSOR = 64
_TIES = 4
_FIX = "give the config that the model was trained with"


class _TooLarge(Exception):  # noqa: N818 - it never leaves this file
    """More was built than the file can hold."""


def check_counts(content: dict[str, Any], *, path: Path) -> None:
    """See that no integer of a config is absurd, before transformers computes with it.

    Raises:
        CheckpointError: one is; its key is told.
    """
    for key, value in entries(content):
        most = MOST_COUNTED if _COUNTED.fullmatch(key) else LARGEST
        if isinstance(value, int) and not -most <= value <= most:
            raise CheckpointError(
                f"{visible(str(path))}: {visible(key)} is beyond {most:,}: no model has so many",
                _FIX,
            )


def check_parameters(
    model: type[PreTrainedModel],
    config: Any,  # noqa: ANN401
    *,
    name: str,
    files: Iterable[Path],
) -> None:
    """See that a file of weights can hold what the config describes: a byte each, at the least.

    The model is built on the meta device, where nothing is allocated, and only until it is seen to
    be too large.

    Raises:
        CheckpointError: the config describes far more parameters than the files hold.
    """
    stored = sum(path.stat().st_size for path in files)
    try:
        with refusing(Path(name), "the config"):
            wanted = _count(model, config, stored=stored)
    except CheckpointError as error:
        if not isinstance(error.__cause__, _TooLarge):
            raise
        wanted = stored + SLACK + 1
    if wanted > stored + SLACK:
        raise CheckpointError(
            f"{visible(name)}: the config describes far more parameters than the file holds "
            f"in {stored:,} bytes",
            _FIX,
        )


def _count(model: type[PreTrainedModel], config: Any, *, stored: int) -> int:  # noqa: ANN401
    """Count the parameters once each; those that are tied stand apart until all are built."""
    numbers, tensors = _TIES * (stored + SLACK), stored // _BYTES_PER_TENSOR + 1000
    with _metered(numbers=numbers, tensors=tensors), torch.device("meta"), no_init_weights():
        module: nn.Module = model(copy.deepcopy(config))
    module.tie_weights()  # type: ignore[operator]
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def _metered(*, numbers: int, tensors: int) -> Iterator[None]:
    """Stop the building of a module once it has more `numbers` or `tensors`."""
    seen = [0, 0]

    def weigh(_module: nn.Module, _name: str, tensor: Tensor | None) -> None:
        if tensor is not None:
            seen[0] += tensor.numel()
            seen[1] += 1
        if seen[0] > numbers or seen[1] > tensors:
            raise _TooLarge

    handles = (
        hooks.register_module_parameter_registration_hook(weigh),
        hooks.register_module_buffer_registration_hook(weigh),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
