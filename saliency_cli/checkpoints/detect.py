"""The ways in which people save models, told apart by names alone: nothing is opened here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from saliency_cli.checkpoints.config import CONFIG
from saliency_cli.checkpoints.contents import Content, Saved, Weights
from saliency_cli.checkpoints.file_checks import check_file, check_folder
from saliency_cli.checkpoints.peft_adapter import find_adapter, is_adapter
from saliency_cli.checkpoints.safetensors_file import read_safetensors
from saliency_cli.checkpoints.sharded_weights import check_indexes, read_shards, shard_files
from saliency_cli.checkpoints.torch_file import read_pickle, read_tensors
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.safe_text import visible
from saliency_cli.settings import ModelChoice

SAFETENSORS = ".safetensors"
PICKLES = (".pt", ".pth", ".bin", ".ckpt")


def recognise(choice: ModelChoice) -> Saved:
    """Return how MODEL was saved.

    Raises:
        UsageError: it is not there, or an option is given that it has no use for.
        CheckpointError: it is saved in no way that is known.
    """
    path = choice.checkpoint
    adapted = path.is_dir() and is_adapter(path)
    if choice.base_model is not None and not adapted:
        raise UsageError(f"--base-model: {visible(str(path))} is no adapter", "leave it out")
    if choice.arch is not None and adapted:
        raise UsageError(
            f"--arch: {visible(str(path))} is an adapter", "merge it into its base model first"
        )
    if choice.unsafe_pickle and path.suffix.lower() not in PICKLES:
        raise UsageError(
            f"--unsafe-pickle: {visible(str(path))} is no pickle", "leave out --unsafe-pickle"
        )
    if adapted:
        return find_adapter(path, base=choice.base_model, find=find_saved)
    return find_saved(path, unsafe=choice.unsafe_pickle)


def find_saved(path: Path, *, unsafe: bool = False) -> Saved:
    """Return how the weights at `path` were saved: a folder, or a file by its suffix."""
    if not path.exists():
        raise UsageError(f"{visible(str(path))}: there is no such file or folder")
    if path.is_dir():
        return find_directory(path)
    check_file(path, what="a checkpoint")
    format_, read = _file_format(path, unsafe=unsafe)
    return Saved(format_, path, files=(path,), folders=(path.parent,), read=read)


def _file_format(path: Path, *, unsafe: bool) -> tuple[str, Callable[[Path], Content]]:
    suffix = path.suffix.lower()
    if suffix == SAFETENSORS:
        return "safetensors file", read_safetensors
    if suffix in PICKLES:
        return "PyTorch file", partial(read_pickle, unsafe=True) if unsafe else read_tensors
    raise CheckpointError(
        f"{visible(str(path))}: no checkpoint is known by this suffix",
        f"give a Hugging Face folder, or a file named {SAFETENSORS} {' '.join(PICKLES)}",
    )


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
