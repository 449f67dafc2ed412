"""A `.pt` file: the state dict that `torch.save(model.state_dict(), path)` wrote."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from saliency_cli.checkpoints.archives import check_archive
from saliency_cli.checkpoints.disguises import check_file
from saliency_cli.checkpoints.refusals import refusing
from saliency_cli.checkpoints.sizes import check_parameters
from saliency_cli.checkpoints.tensors import check_tensors
from saliency_cli.checkpoints.weights import architecture, build
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import visible


def load_state_dict(path: Path, config: Any) -> nn.Module:  # noqa: ANN401
    """Load the module of a bare state dict, whose architecture the config tells."""
    weights = read_tensors(path)
    model = architecture(config, name=str(path))
    check_parameters(model, config, name=str(path), files=[path])
    with refusing(path, "the state dict"):
        return build(
            model,
            name=str(path),
            pretrained_model_name_or_path=None,
            config=config,
            state_dict=weights,
        )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a file of named tensors and of nothing else.

    `weights_only=True` keeps the unpickler from calling anything; it is never tried without.

    Raises:
        CheckpointError: the file is no pickle of tensors, or the tensors are not what they seem.
    """
    check_file(path, what="the weights")
    check_archive(path)
    with refusing(path, "the weights"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch warns of here, the refusal says
        content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{visible(str(path))} holds no state dict but {_kind(content)}")
    odd = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if odd:
        raise CheckpointError(
            f"{visible(str(path))} is not a plain state dict: '{visible(odd[0])}' is no tensor",
            "save it again with torch.save(model.state_dict(), path)",
        )
    tensors = {str(key): value for key, value in content.items()}
    check_tensors(tensors, name=str(path))
    return tensors


def _kind(content: object) -> str:
    return "an empty dict" if content == {} else f"a {type(content).__name__}"
