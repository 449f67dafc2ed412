"""Weights in several files, and the index that tells which tensor is in which."""

import json
from pathlib import Path

from saliency_cli.checkpoints.refusals import refusing
from saliency_cli.checkpoints.saved import Weights
from saliency_cli.checkpoints.state_dict import read_tensors
from saliency_cli.checkpoints.tensor_file import read_safetensors
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import listed, visible


def shard_files(index: Path) -> list[Path]:
    """Return the files that an index names, sorted.

    Raises:
        CheckpointError: the index is none, or names a file that is not beside it.
    """
    names = sorted(set(_weight_map(index).values()))
    for name in names:
        if Path(name).name != name:
            raise CheckpointError(
                f"{visible(str(index))} names '{visible(name)}', which is no file of its folder"
            )
        if not (index.parent / name).is_file():
            raise CheckpointError(
                f"{visible(str(index))} names '{visible(name)}', which is not there",
                "copy all files of the model",
            )
    return [index.parent / name for name in names]


def read_shards(index: Path) -> Weights:
    """Read the tensors of all shards.

    Raises:
        CheckpointError: a shard holds other tensors than the index says.
    """
    weights: Weights = {}
    shard_of = _weight_map(index)
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


def _weight_map(index: Path) -> dict[str, str]:
    with refusing(index, "the index of the shards"):
        content = json.loads(index.read_text(encoding="utf-8"))
    shard_of = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shard_of, dict) or not all(isinstance(n, str) for n in shard_of.values()):
        raise CheckpointError(f"{visible(str(index))} holds no weight_map of keys to files")
    return shard_of
