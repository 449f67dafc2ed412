"""A folder that `save_pretrained` wrote: config.json, safetensors, tokenizer files."""

from pathlib import Path
from typing import Any

from torch import nn

from saliency_cli.checkpoints.archives import check_safetensors
from saliency_cli.checkpoints.disguises import check_folder
from saliency_cli.checkpoints.indexes import check_indexes
from saliency_cli.checkpoints.refusals import refusing
from saliency_cli.checkpoints.sizes import check_parameters
from saliency_cli.checkpoints.weights import architecture, build
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import visible

WEIGHTS = "*.safetensors"


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights.

    Raises:
        CheckpointError: there is none, or one is something else.
    """
    check_folder(folder)
    check_indexes(folder)
    files = sorted(folder.glob(WEIGHTS))
    if not files:
        raise CheckpointError(
            f"{visible(str(folder))} holds no weights ({WEIGHTS})",
            "write them with save_pretrained, or give a .pt file with the state dict",
        )
    for file in files:
        check_safetensors(file)
    return files


def load_directory(folder: Path, config: Any) -> nn.Module:  # noqa: ANN401
    """Load the module of a Hugging Face folder."""
    files = weight_files(folder)
    model = architecture(config, name=str(folder))
    check_parameters(model, config, name=str(folder), files=files)
    with refusing(folder, "the model"):
        return build(
            model,
            name=str(folder),
            pretrained_model_name_or_path=str(folder),
            config=config,
            use_safetensors=True,
        )
