"""A `.safetensors` file: named tensors behind a header, and no room for code."""

from pathlib import Path

from safetensors.torch import load_file

from saliency_cli.checkpoints.contents import Weights
from saliency_cli.checkpoints.file_checks import check_safetensors
from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.checkpoints.tensors import check_tensors
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible


def read_safetensors(path: Path) -> Weights:
    """Read the tensors of a file.

    Raises:
        CheckpointError: it is no safetensors file, or holds no tensor.
    """
    check_safetensors(path)
    with refusing(path, "the weights"):
        weights = load_file(path)
    if not weights:
        raise CheckpointError(f"{visible(str(path))} holds no tensor")
    check_tensors(weights, name=str(path))
    return weights
