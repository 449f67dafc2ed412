"""Read weights that are split into shards, as the index beside them lists them.

An index maps each tensor to a file name. Its author chose those names, so they are checked before
any of the files is opened.
"""

from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.contents import Weights
from saliency_cli.checkpoints.file_checks import check_file, is_plain_file_name
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.checkpoints.safetensors_file import read_safetensors
from saliency_cli.checkpoints.torch_file import read_tensors
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, listed, visible

INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


def read_shards(index: Path) -> Weights:
    """Return the tensors of all shards that an index lists.

    Raises:
        CheckpointError: A shard holds other tensors than the index says, or cannot be read.
    """
    weights: Weights = {}
    shard_of = read_object(index, what="a shard index")["weight_map"]
    for path in shard_files(index):
        shard = read_safetensors(path) if path.suffix == ".safetensors" else read_tensors(path)
        expected = {key for key, name in shard_of.items() if name == path.name}
        wrong = sorted(expected.symmetric_difference(shard))
        if wrong:
            raise CheckpointError(
                f"{visible(str(path))} and {visible(index.name)} differ over {listed(wrong)}"
            )
        weights |= shard
    return weights


def check_indexes(folder: Path) -> None:
    """Raise an error if a shard index of `folder` is invalid, whether it will be used or not.

    Raises:
        CheckpointError: As `shard_files` does.
    """
    for name in INDEX_FILES:
        if (folder / name).exists():
            shard_files(folder / name)


def shard_files(index: Path) -> list[Path]:
    """Return the files that a shard index names, each once, in their order.

    Raises:
        CheckpointError: The index has no `weight_map`, or names a file that does not exist or is
            outside the index's folder.
    """
    weight_map = read_object(index, what="a shard index").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{visible(str(index))} holds no weight_map")
    names = dict.fromkeys(_plain_file_name(value, index=index) for value in weight_map.values())
    files = [index.parent / name for name in names]
    for file in files:
        _check_location(file, index=index)
        check_file(file, what="a shard of weights")
    return files


def _plain_file_name(value: Any, *, index: Path) -> str:  # noqa: ANN401 - JSON
    if not is_plain_file_name(value):
        raise CheckpointError(
            f"{visible(str(index))} names '{excerpt(str(value))}', which is not a plain file name"
        )
    return str(value)


def _check_location(file: Path, *, index: Path) -> None:
    """Raise `CheckpointError` unless a shard exists in the folder of its index, links followed.

    One other place is allowed: the hub's cache links each file of `snapshots/REVISION` to the
    folder `blobs`, two levels up.
    """
    folder = index.parent.resolve()
    allowed = {folder}
    if folder.parent.name == "snapshots":
        allowed.add(folder.parent.parent / "blobs")
    if not file.exists():
        raise CheckpointError(
            f"{visible(str(index))} names {visible(file.name)}, which does not exist",
            "download all shards",
        )
    if file.resolve().parent not in allowed:
        raise CheckpointError(
            f"{visible(str(file))} is a link to a file outside its folder",
            "put the shard itself beside its index",
        )
