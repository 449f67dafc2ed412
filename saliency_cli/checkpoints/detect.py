"""Find out in which format a checkpoint was saved, by file names; no weights are read here."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from saliency_cli.checkpoints.config import CONFIG_FILE
from saliency_cli.checkpoints.contents import CheckpointFiles, Content, Weights
from saliency_cli.checkpoints.file_checks import (
    PICKLE_SUFFIXES,
    SAFETENSORS_SUFFIX,
    WEIGHT_SUFFIXES,
    check_file,
    check_folder,
)
from saliency_cli.checkpoints.other_formats import other_file_error, other_folder_error
from saliency_cli.checkpoints.peft_adapter import find_adapter, is_adapter
from saliency_cli.checkpoints.safetensors_file import read_safetensors
from saliency_cli.checkpoints.sentence_folder import (
    find_sentence_classifier,
    has_pickled_head,
    is_sentence_classifier,
)
from saliency_cli.checkpoints.sharded_weights import check_indexes, read_shards, shard_files
from saliency_cli.checkpoints.torch_file import read_pickle, read_tensors
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.safe_text import visible
from saliency_cli.settings import ModelChoice

# The first file that exists is used. Formats that cannot hold code come before those that can.
FOLDER_FORMATS: dict[str, tuple[str, Callable[[Path], Weights]]] = {
    "model.safetensors": ("Hugging Face folder, safetensors", read_safetensors),
    "model.safetensors.index.json": ("Hugging Face folder, sharded safetensors", read_shards),
    "pytorch_model.bin": ("Hugging Face folder, pytorch_model.bin", read_tensors),
    "pytorch_model.bin.index.json": ("Hugging Face folder, sharded pytorch_model.bin", read_shards),
}
"""A file's name, the format that it stands for, and the function that reads it."""


def detect_checkpoint(choice: ModelChoice) -> CheckpointFiles:
    """Return the format and the files of MODEL.

    Raises:
        UsageError: The path does not exist, or an option does not apply to this format.
        CheckpointError: The format is unknown, or its files are incomplete.
    """
    path = choice.checkpoint
    adapter = path.is_dir() and is_adapter(path)
    if choice.base_model is not None and not adapter:
        raise UsageError(
            f"--base-model: {visible(str(path))} is not an adapter", "leave out --base-model"
        )
    if choice.arch is not None and adapter:
        raise UsageError(
            f"--arch: {visible(str(path))} is an adapter", "merge it into its base model first"
        )
    is_pickle = path.suffix.lower() in PICKLE_SUFFIXES or has_pickled_head(path)
    if choice.unsafe_pickle and not is_pickle:
        raise UsageError(
            f"--unsafe-pickle: {visible(str(path))} is not a pickle file",
            "leave out --unsafe-pickle",
        )
    if adapter:
        return find_adapter(path, base=choice.base_model, detect=detect_weights)
    return detect_weights(path, unsafe=choice.unsafe_pickle)


def detect_weights(path: Path, *, unsafe: bool = False) -> CheckpointFiles:
    """Return the format and the files of the weights at `path`, a file or a folder.

    Args:
        path: A folder that `save_pretrained` wrote, or a file, whose suffix tells the format.
        unsafe: The user gave `--unsafe-pickle`: a pickle file may hold a module.

    Raises:
        UsageError: The path does not exist.
        CheckpointError: The format is unknown, or its files are incomplete.
    """
    if not path.exists():
        raise UsageError(f"{visible(str(path))}: there is no such file or folder")
    if path.is_dir():
        return detect_folder(path, unsafe=unsafe)
    check_file(path, what="a checkpoint")
    refusal = other_file_error(path)
    if refusal is not None:
        raise refusal
    format_, read = _file_format(path, unsafe=unsafe)
    return CheckpointFiles(format_, path, files=(path,), folders=(path.parent,), read=read)


def _file_format(path: Path, *, unsafe: bool) -> tuple[str, Callable[[Path], Content]]:
    suffix = path.suffix.lower()
    if suffix == SAFETENSORS_SUFFIX:
        return "safetensors file", read_safetensors
    if suffix in PICKLE_SUFFIXES:
        return "PyTorch file", partial(read_pickle, unsafe=True) if unsafe else read_tensors
    raise CheckpointError(
        f"{visible(str(path))}: no checkpoint format has this suffix",
        "give a Hugging Face folder, or a file that ends in  ".join(WEIGHT_SUFFIXES),
    )


def detect_folder(folder: Path, *, unsafe: bool = False) -> CheckpointFiles:
    """Return the format and the files of the weights in a folder.

    Args:
        folder: The folder.
        unsafe: The user gave `--unsafe-pickle`: the head of a sentence classifier may be a pickle.

    Raises:
        CheckpointError: There are no weights, or an index of shards is invalid.
    """
    check_folder(folder)
    if is_sentence_classifier(folder):
        return find_sentence_classifier(folder, unsafe=unsafe, detect=_detect_weights_in)
    return _detect_weights_in(folder)


def _detect_weights_in(folder: Path) -> CheckpointFiles:
    check_folder(folder)
    check_indexes(folder)
    for name, (format_, read) in FOLDER_FORMATS.items():
        path = folder / name
        if path.exists():
            shards = shard_files(path) if read is read_shards else []
            return CheckpointFiles(
                format_, path, files=(path, *shards), folders=(folder,), read=read
            )
    refusal = other_folder_error(folder)
    if refusal is not None:
        raise refusal
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(
            f"{visible(str(folder))} is not a model: it holds no {CONFIG_FILE}",
            "give the folder that save_pretrained wrote, or a file of weights",
        )
    raise CheckpointError(
        f"{visible(str(folder))} holds no weights ({' '.join(FOLDER_FORMATS)})",
        "write them with save_pretrained, or give the file itself",
    )
