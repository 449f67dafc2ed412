"""Weights in several files, and the index that tells which tensor is in which."""

from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.contents import Weights
from saliency_cli.checkpoints.file_checks import check_file
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.checkpoints.safetensors_file import read_safetensors
from saliency_cli.checkpoints.torch_file import read_tensors
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, listed, visible


def read_shards(index: Path) -> Weights:
    """Read the tensors of all shards.

    Raises:
        CheckpointError: a shard holds other tensors than the index says.
    """
    weights: Weights = {}
    shard_of = read_object(index, what="a shard index")["weight_map"]
    for path in shard_files(index):
        shard = read_safetensors(path) if path.suffix == ".safetensors" else read_tensors(path)
        wanted = {key for key, name in shard_of.items() if name == path.name}
        wrong = sorted(wanted.symmetric_difference(shard))
        if wrong:
            raise CheckpointError(
                f"{visible(str(path))} and {visible(index.name)} differ over {listed(wrong)}"
            )
        weights |= shard
    return weights


INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def check_indexes(folder: Path) -> None:
    """See that the shard indexes of `folder` name files of this folder, and that those are there.

    Raises:
        CheckpointError: an index is none, or names a file that is elsewhere or missing.
    """
    for name in INDEXES:
        if (folder / name).exists():
            shard_files(folder / name)


def shard_files(index: Path) -> list[Path]:
    """Return the files that a shard index names, each once, in their order.

    Raises:
        CheckpointError: the index is none, or names a file that is elsewhere or missing.
    """
    weight_map = read_object(index, what="a shard index").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{visible(str(index))} holds no weight_map")
    names = dict.fromkeys(_name(value, index=index) for value in weight_map.values())
    files = [index.parent / name for name in names]
    for file in files:
        _check_place(file, index=index)
        check_file(file, what="a shard of weights")
    return files


def _name(value: Any, *, index: Path) -> str:  # noqa: ANN401 - JSON
    if not isinstance(value, str) or value in {"", ".", ".."} or set(value) & set("/\\\0:"):
        raise CheckpointError(
            f"{visible(str(index))} names '{excerpt(str(value))}', which is no file of its folder"
        )
    return value


def _check_place(file: Path, *, index: Path) -> None:
    """See that a shard is in the folder, through links or not.

    The hub's cache links each file of `snapshots/REVISION` to `blobs`, two folders up: the one way
    out that there is.
    """
    folder = index.parent.resolve()
    allowed = {folder}
    if folder.parent.name == "snapshots":
        allowed.add(folder.parent.parent / "blobs")
    if not file.exists():
        raise CheckpointError(
            f"{visible(str(index))} names {visible(file.name)}, which is not there",
            "download all shards",
        )
    if file.resolve().parent not in allowed:
        raise CheckpointError(
            f"{visible(str(file))} is a link that leads out of its folder",
            "put the shard itself beside its index",
        )
