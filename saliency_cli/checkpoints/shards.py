"""Weights in several files, and the index that tells which tensor is in which."""

from pathlib import Path

from saliency_cli.checkpoints.indexes import shard_files
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.checkpoints.saved import Weights
from saliency_cli.checkpoints.state_dict import read_tensors
from saliency_cli.checkpoints.tensor_file import read_safetensors
from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import listed, visible


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
