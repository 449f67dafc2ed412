"""A folder that `save_pretrained` or the Trainer wrote: one file of weights, or shards of it."""

from collections.abc import Callable
from pathlib import Path

from saliency_cli.checkpoints.config import CONFIG
from saliency_cli.checkpoints.disguises import check_folder
from saliency_cli.checkpoints.indexes import check_indexes, shard_files
from saliency_cli.checkpoints.saved import Saved, Weights
from saliency_cli.checkpoints.shards import read_shards
from saliency_cli.checkpoints.state_dict import read_tensors
from saliency_cli.checkpoints.tensor_file import read_safetensors
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import visible

# The first that is there is taken: what cannot hold code goes before what might.
FORMATS: dict[str, tuple[str, Callable[[Path], Weights]]] = {
    "model.safetensors": ("Hugging Face folder, safetensors", read_safetensors),
    "model.safetensors.index.json": ("Hugging Face folder, sharded safetensors", read_shards),
    "pytorch_model.bin": ("Hugging Face folder, pytorch_model.bin", read_tensors),
    "pytorch_model.bin.index.json": ("Hugging Face folder, sharded pytorch_model.bin", read_shards),
}


def find_directory(folder: Path) -> Saved:
    """Return how the weights in a folder were saved.

    Raises:
        CheckpointError: there are none, or an index of shards cannot be read.
    """
    check_folder(folder)
    check_indexes(folder)
    for name, (format_, read) in FORMATS.items():
        path = folder / name
        if path.exists():
            shards = shard_files(path) if read is read_shards else []
            return Saved(format_, path, files=(path, *shards), folders=(folder,), read=read)
    if not (folder / CONFIG).is_file():
        raise CheckpointError(
            f"{visible(str(folder))} is not a model: it holds no {CONFIG}",
            "give the folder that save_pretrained wrote, or a file of weights",
        )
    raise CheckpointError(
        f"{visible(str(folder))} holds no weights ({' '.join(FORMATS)})",
        "write them with save_pretrained, or give the file itself",
    )
