"""A `.pt` file: a state dict, plain or under the key that a trainer keeps it by."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from saliency_cli.checkpoints.contents import Content, Weights
from saliency_cli.checkpoints.file_checks import check_archive, check_file
from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.checkpoints.tensors import check_tensors
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible

NESTED = ("state_dict", "model_state_dict", "model")
SAVE_AGAIN = "save it again with torch.save(model.state_dict(), path)"


def read_tensors(path: Path) -> Weights:
    """Read the state dict of a file, which may hold plain values beside it and no code.

    `weights_only=True` keeps the unpickler from calling anything; it is never tried without.

    Raises:
        CheckpointError: the file holds no state dict, or more than tensors and plain values.
    """
    return _state_dict(_nested(_load(path, weights_only=True)), path=path)


def read_pickle(path: Path, *, unsafe: bool) -> Content:
    """Read a file as `--unsafe-pickle` asks: whatever the pickle calls for is run.

    Raises:
        CheckpointError: it cannot be read, or holds neither a module nor a state dict.
    """
    content = _nested(_load(path, weights_only=not unsafe))
    return content if isinstance(content, nn.Module) else _state_dict(content, path=path)


def _load(path: Path, *, weights_only: bool) -> object:
    check_file(path, what="the weights")
    check_archive(path)
    with refusing(path, "the weights"), unswayed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch warns of here, the refusal says
        return torch.load(path, map_location="cpu", weights_only=weights_only)


def _nested(content: object) -> object:
    if not isinstance(content, dict):
        return content
    inner = (content.get(key) for key in NESTED)
    return next((each for each in inner if isinstance(each, dict | nn.Module)), content)


def _state_dict(content: object, *, path: Path) -> Weights:
    if not isinstance(content, dict) or not content:
        raise CheckpointError(
            f"{visible(str(path))} holds no state dict but {_kind(content)}", SAVE_AGAIN
        )
    odd = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if odd:
        raise CheckpointError(
            f"{visible(str(path))} is not a plain state dict: '{visible(odd[0])}' is no tensor",
            SAVE_AGAIN,
        )
    tensors = {str(key): value for key, value in content.items()}
    check_tensors(tensors, name=str(path))
    return tensors


def _kind(content: object) -> str:
    return "an empty dict" if content == {} else f"a {type(content).__name__}"


SWAYING = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD")


@contextmanager
def unswayed() -> Iterator[None]:
    """Set aside the variables by which torch.load overrides the `weights_only` of its caller."""
    aside = {name: os.environ.pop(name) for name in SWAYING if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(aside)
