"""Write one model in every format that checkpoints are saved in."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Weights = dict[str, Tensor]
PREFIXES = ("", "module.", "model.", "_orig_mod.", "net.", "classifier.", "module._orig_mod.model.")


def read_weights(folder: Path) -> Weights:
    """Return the weights that `save_pretrained` wrote."""
    return load_file(folder / "model.safetensors")


def add_prefix(prefix: str, weights: Weights) -> Weights:
    """Return weights with a prefix before every name, as a wrapper writes them."""
    return {prefix + key: tensor for key, tensor in weights.items()}


def save_shards(folder: Path, weights: Weights, *, suffix: str) -> Path:
    """Write weights in two shards and an index; return the index."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    shard_of: dict[str, str] = {}
    for number, keys in enumerate((sorted(weights)[::2], sorted(weights)[1::2]), start=1):
        name = f"{stem}-0000{number}-of-00002.{suffix}"
        write_weights(folder / name, {key: weights[key] for key in keys})
        shard_of |= dict.fromkeys(keys, name)
    index = folder / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": shard_of}))
    return index


def write_weights(path: Path, weights: Weights) -> None:
    """Write tensors to a file, in the format of its suffix."""
    if path.suffix == ".safetensors":
        save_file(weights, path, metadata={"format": "pt"})
    else:
        torch.save(weights, path)


def lightning_checkpoint(weights: Weights) -> dict[str, object]:
    """Return what Lightning saves: the module under its attribute's name, and training state."""
    return {
        "epoch": 3,
        "global_step": 42,
        "state_dict": add_prefix("model.", weights),
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hyper_parameters": {"lr": 1e-4, "name": "bert", "layers": [1, 2], "warm": None},
    }


def training_loop_checkpoint(weights: Weights) -> dict[str, object]:
    """Return what hand-written training loops often save."""
    optimizer = torch.optim.AdamW([torch.zeros(2, requires_grad=True)])
    return {
        "model_state_dict": add_prefix("module.", weights),
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": 0.25,
    }


Save = Callable[[Path, Weights], Path]


def _save_in_folder(name: str) -> Save:
    def save(folder: Path, weights: Weights) -> Path:
        write_weights(folder / name, weights)
        return folder

    return save


def _save_as_shards(suffix: str) -> Save:
    def save(folder: Path, weights: Weights) -> Path:
        return save_shards(folder, weights, suffix=suffix).parent

    return save


def _save_as_file(name: str, wrap: Callable[[Weights], object] = dict) -> Save:
    def save(folder: Path, weights: Weights) -> Path:
        content = wrap(weights)
        if name.endswith(".safetensors"):
            write_weights(folder / name, weights)
        else:
            torch.save(content, folder / name)
        return folder / name

    return save


def _formats() -> Iterator[tuple[str, Save]]:
    yield "model.safetensors", _save_in_folder("model.safetensors")
    yield "pytorch_model.bin", _save_in_folder("pytorch_model.bin")
    yield "sharded safetensors", _save_as_shards("safetensors")
    yield "sharded bin", _save_as_shards("bin")
    for suffix in ("safetensors", "pt", "pth", "bin", "ckpt", "PT"):
        yield f"a file .{suffix}", _save_as_file(f"weights.{suffix}")
    yield "under model", _save_as_file("weights.pt", lambda weights: {"model": weights, "epoch": 1})
    yield "Lightning", _save_as_file("last.ckpt", lightning_checkpoint)
    yield "a trainer", _save_as_file("checkpoint.pth", training_loop_checkpoint)


FORMATS: dict[str, Save] = dict(_formats())
"""A name for each format, and a function that writes weights in it and returns MODEL."""
