"""Checks of a config before a model is built from it: sizes, code and names of hub files.

A config of a few bytes can describe a model of any size, and can name code, kernels or other files
on a hub. Both are refused before transformers acts on them.
"""

import copy
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as module_hooks

from saliency_cli.checkpoints.json_files import nested_items
from saliency_cli.checkpoints.meta_device import meta_device
from saliency_cli.checkpoints.quantized import UNQUANTIZED
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.errors import CheckpointError
from saliency_cli.model.transformers_import import PreTrainedModel, no_init_weights
from saliency_cli.safe_text import excerpt, visible

MAX_INTEGER = 1 << 53
"""The largest integer that all JSON parsers agree on (RFC 8259, section 6)."""

MAX_LIST_LENGTH = 100_000
"""The most layers or labels: transformers builds lists of this length before anything else."""

SPARE_PARAMETERS = 1 << 20
"""Parameters that a config may imply beyond the file's bytes. A file that lacks its head then
passes, and the error about missing weights names the head."""

FORBIDDEN_KEYS = {
    "auto_map": "code that comes with the model, which is never run",
    "quantization_config": "quantized weights, which give no gradients",
    "kernel_config": "kernels from a hub, which are never fetched",
    "use_kernels": "kernels from a hub, which are never fetched",
}
"""Keys that a config may hold only with an empty value, and what each of them requires."""

BUILT_IN_IMPLEMENTATIONS = {"eager", "sdpa", "flex_attention", "batched_mm", "grouped_mm"}
"""The implementations inside transformers; any other name may be a repository on a hub."""

_IMPLEMENTATION_KEYS = ("attn_implementation", "experts_implementation")
_LIST_LENGTH_KEYS = re.compile(r"num_labels|n_layers?|.*_layers|.*depths?")
_BYTES_PER_TENSOR = 64  # a smaller average size means that the config describes too many tensors
_TIED_COPIES = 4  # tied parameters are separate tensors until `tie_weights` joins them
_FIX_CONFIG = "give the config that the model was trained with"


class _TooManyParameters(Exception):  # noqa: N818 - it never leaves this file
    """The module that is being built has more parameters than the file can hold."""


def check_integers(content: dict[str, Any], *, path: Path) -> None:
    """Raise an error if an integer of a config is absurdly large, at any depth.

    Args:
        content: The parsed config.
        path: The config's path, for messages.

    Raises:
        CheckpointError: An integer is too large; the message names its key.
    """
    for key, value in nested_items(content):
        limit = MAX_LIST_LENGTH if _LIST_LENGTH_KEYS.fullmatch(key) else MAX_INTEGER
        if isinstance(value, int) and not -limit <= value <= limit:
            raise CheckpointError(
                f"{visible(str(path))}: {excerpt(key)} is out of range: the limit is {limit:,}",
                _FIX_CONFIG,
            )


def check_parameter_count(
    model: type[PreTrainedModel],
    config: Any,  # noqa: ANN401
    *,
    name: str,
    files: Iterable[Path],
) -> None:
    """Raise an error if the config describes more parameters than the files of weights can hold.

    Each parameter takes at least one byte. The model is built on the meta device, where nothing is
    allocated, and building stops as soon as it is too large.

    Args:
        model: The class to build.
        config: Its transformers config.
        name: The checkpoint's path, for messages.
        files: The files of weights.

    Raises:
        CheckpointError: The config describes far more parameters than the files can hold, or the
            model cannot be built from it.
    """
    stored = sum(path.stat().st_size for path in files)
    try:
        with translate_errors(Path(name), "the config"):
            described = _count_parameters(model, config, stored=stored)
    except CheckpointError as error:
        if not isinstance(error.__cause__, _TooManyParameters):
            raise
        described = stored + SPARE_PARAMETERS + 1
    if described > stored + SPARE_PARAMETERS:
        raise CheckpointError(
            f"{visible(name)}: the config describes far more parameters than the file holds "
            f"in {stored:,} bytes",
            _FIX_CONFIG,
        )


def _count_parameters(model: type[PreTrainedModel], config: Any, *, stored: int) -> int:  # noqa: ANN401
    """Return the number of parameters, tied ones counted once."""
    max_numbers = _TIED_COPIES * (stored + SPARE_PARAMETERS)
    max_tensors = stored // _BYTES_PER_TENSOR + 1000
    limit = _limit_parameters(max_numbers=max_numbers, max_tensors=max_tensors)
    with limit, meta_device(), no_init_weights():
        module: nn.Module = model(copy.deepcopy(config))
    module.tie_weights()  # type: ignore[operator]
    return sum(parameter.numel() for parameter in module.parameters())


@contextmanager
def _limit_parameters(*, max_numbers: int, max_tensors: int) -> Iterator[None]:
    """Raise `_TooManyParameters` as soon as the modules built inside exceed a limit."""
    numbers = tensors = 0

    def count(_module: nn.Module, _name: str, tensor: Tensor | None) -> None:
        nonlocal numbers, tensors
        if tensor is not None:
            numbers += tensor.numel()
            tensors += 1
        if numbers > max_numbers or tensors > max_tensors:
            raise _TooManyParameters

    handles = (
        module_hooks.register_module_parameter_registration_hook(count),
        module_hooks.register_module_buffer_registration_hook(count),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_forbidden_keys(content: dict[str, Any], *, path: Path) -> None:
    """Raise an error if a config requires anything outside transformers itself, at any depth.

    Args:
        content: The parsed config.
        path: The config's path, for messages.

    Raises:
        CheckpointError: A key requires code, kernels, quantized weights or an implementation that
            is not part of transformers; the message names it.
    """
    for key, value in nested_items(content):
        if key in FORBIDDEN_KEYS and value:
            raise CheckpointError(
                f"{visible(str(path))}: {excerpt(key)} requires {FORBIDDEN_KEYS[key]}",
                UNQUANTIZED
                if key == "quantization_config"
                else "give a model of an architecture that is part of transformers",
            )
        if any(name in key for name in _IMPLEMENTATION_KEYS):
            for _, implementation in nested_items({key: value}):
                _check_implementation(key, implementation, path=path)


def _check_implementation(key: str, implementation: object, *, path: Path) -> None:
    if isinstance(implementation, str) and implementation not in BUILT_IN_IMPLEMENTATIONS:
        raise CheckpointError(
            f"{visible(str(path))}: {excerpt(key)} requires '{excerpt(implementation)}', "
            "which is not part of transformers",
            f"remove {excerpt(key)} from the config",
        )
