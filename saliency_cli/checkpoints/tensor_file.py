"""A `.safetensors` file: named tensors behind a header, and no room for code."""

from pathlib import Path

from safetensors.torch import load_file

from saliency_cli.checkpoints.refusals import refusing
from saliency_cli.checkpoints.saved import Weights
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import visible


def read_safetensors(path: Path) -> Weights:
    """Read the tensors of a file.

    Raises:
        CheckpointError: it is no safetensors file, or holds no tensor.
    """
    with refusing(path, "the weights"):
        weights = load_file(path)
    if not weights:
        raise CheckpointError(f"{visible(str(path))} holds no tensor")
    return weights
