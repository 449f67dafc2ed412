"""Shard indexes: a file that names other files, none of which may lie elsewhere."""

from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.disguises import check_file
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import excerpt, visible

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
