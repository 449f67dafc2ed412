"""Read a `.pt`, `.pth`, `.bin` or `.ckpt` file: a state dict, alone or inside a training state."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from saliency_cli.checkpoints.contents import Content, Weights
from saliency_cli.checkpoints.file_checks import check_archive, check_file
from saliency_cli.checkpoints.pickle_checks import check_pickles
from saliency_cli.checkpoints.quantized import check_unquantized_keys, check_unquantized_module
from saliency_cli.checkpoints.read_errors import SAVE_STATE_DICT, translate_errors
from saliency_cli.checkpoints.tensors import check_tensors
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, visible

STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")
"""Where Lightning and common training loops keep the model inside a saved training state."""

TORCH_LOAD_VARIABLES = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD")


def read_tensors(path: Path) -> Weights:
    """Return the state dict of a file that may also hold plain values, but no code.

    Always loads with `weights_only=True`, so that the unpickler calls no function of the file.

    Raises:
        CheckpointError: The file holds no state dict, or more than tensors and plain values.
    """
    return _as_state_dict(_unwrap(_load(path, weights_only=True)), path=path)


def read_pickle(path: Path, *, unsafe: bool) -> Content:
    """Return the state dict or the module of a file.

    Args:
        path: The file.
        unsafe: The user gave `--unsafe-pickle`: the pickle may run any code.

    Raises:
        CheckpointError: The file cannot be read, or holds neither a module nor a state dict.
    """
    content = _unwrap(_load(path, weights_only=not unsafe))
    if not isinstance(content, nn.Module):
        return _as_state_dict(content, path=path)
    check_unquantized_module(content, path=path)
    return content


def _load(path: Path, *, weights_only: bool) -> object:
    check_file(path, what="the weights")
    check_archive(path)
    with (
        translate_errors(path, "the weights"),
        ignore_torch_load_variables(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # the error message covers what torch warns about
        if weights_only:
            check_pickles(path)
        return torch.load(path, map_location="cpu", weights_only=weights_only)


@contextmanager
def ignore_torch_load_variables() -> Iterator[None]:
    """Unset, for a while, the environment variables that override `weights_only` of torch.load."""
    saved = {name: os.environ.pop(name) for name in TORCH_LOAD_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)


def _unwrap(content: object) -> object:
    """Return the state dict or module inside a training state, else `content` itself."""
    if not isinstance(content, dict):
        return content
    candidates = (content.get(key) for key in STATE_DICT_KEYS)
    return next((each for each in candidates if isinstance(each, dict | nn.Module)), content)


def _as_state_dict(content: object, *, path: Path) -> Weights:
    """Return `content` as a state dict; raise `CheckpointError` if it is anything else."""
    if not isinstance(content, dict) or not content:
        kind = "an empty dict" if content == {} else f"a {type(content).__name__}"
        raise CheckpointError(
            f"{visible(str(path))} holds {kind}, not a state dict", SAVE_STATE_DICT
        )
    if not all(isinstance(key, str) for key in content):  # str() of another may recurse deeply
        raise CheckpointError(
            f"{visible(str(path))} is not a plain state dict: a key is not a string",
            SAVE_STATE_DICT,
        )
    check_unquantized_keys(content, name=str(path))
    others = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointError(
            f"{visible(str(path))} is not a plain state dict: '{excerpt(others[0])}' is not a "
            "tensor",
            SAVE_STATE_DICT,
        )
    tensors = dict(content)
    check_tensors(tensors, name=str(path))
    return tensors
