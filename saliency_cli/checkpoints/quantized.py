"""Recognise quantized weights, through which no gradient reaches the embedding."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import nn

from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, visible

UNQUANTIZED = (
    "give the float weights that were quantized: torch.save(model.state_dict(), path), or "
    "save_pretrained, before quantization"
)
"""The hint for quantized weights. Methods without gradients are no way out: a model whose
gradients cannot be taken is refused when it is loaded."""

_KEYS = re.compile(
    r".*\._?packed_params(\..*)?"  # torch.ao.quantization
    r"|.*\.weight\.(absmax|quant_map|quant_state\..*)|.*\.(SCB|weight_format)"  # bitsandbytes
    r"|.*\.(qweight|qzeros|g_idx)"  # GPTQ, AWQ
    r"|.*\.weight_packed"  # compressed-tensors
)
"""The names under which quantized layers save what stands for their weights."""

_MODULES = re.compile(r"torch\.(ao\.)?nn\.(\w+\.)?quantized\b.*|bitsandbytes\..*|torchao\..*")
"""The Python modules that define quantized layers."""


def check_unquantized_keys(keys: Iterable[object], *, name: str) -> None:
    """Raise an error if keys of a state dict are those of quantized layers.

    Args:
        keys: The keys.
        name: The file's path, for messages.

    Raises:
        CheckpointError: There is such a key; the message names the first.
    """
    for key in keys:
        if isinstance(key, str) and _KEYS.fullmatch(key):
            raise _quantized_error(name, excerpt(key))


def check_unquantized_module(module: nn.Module, *, path: Path) -> None:
    """Raise an error if a whole module that was unpickled holds quantized layers.

    Args:
        module: The module.
        path: The file, for messages.

    Raises:
        CheckpointError: There is such a layer; the message names the first.
    """
    for name, kind in _quantized_layers(module):
        raise _quantized_error(str(path), f"{excerpt(name)}, a quantized {excerpt(kind)}")


def _quantized_layers(module: nn.Module) -> Iterator[tuple[str, str]]:
    for name, layer in module.named_modules():
        weights = (*layer.parameters(recurse=False), *layer.buffers(recurse=False))
        if _MODULES.fullmatch(type(layer).__module__) or any(w.is_quantized for w in weights):
            yield name or "the model", type(layer).__name__


def _quantized_error(name: str, found: str) -> CheckpointError:
    return CheckpointError(
        f"{visible(name)} holds quantized weights ({found}), which give no gradients", UNQUANTIZED
    )
