"""Read a `.safetensors` file: a JSON header, then the tensors; the format cannot hold code."""

from pathlib import Path

from safetensors.torch import load_file

from saliency_cli.checkpoints.contents import Weights
from saliency_cli.checkpoints.file_checks import check_safetensors
from saliency_cli.checkpoints.quantized import check_unquantized_keys
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.checkpoints.tensors import check_tensors
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible


def read_safetensors(path: Path) -> Weights:
    """Return the tensors of a file by name, on the CPU.

    Raises:
        CheckpointError: The file is not a safetensors file, or holds no tensor.
    """
    check_safetensors(path)
    with translate_errors(path, "the weights"):
        weights = load_file(path)
    if not weights:
        raise CheckpointError(f"{visible(str(path))} holds no tensor")
    check_unquantized_keys(weights, name=str(path))
    check_tensors(weights, name=str(path))
    return weights
