"""Hostile files: pointers, pages and pipes in the place of a model, its weights and their index."""

import json
import os
import socket
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.support.hostile import hostile
from tests.support.shell import USAGE, Shell

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 437\n"
PAGE = "\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
HEADER = "model.safetensors: the weights cannot be read: SafetensorError"
PLACES = {
    "state dict": "model.pt",
    "safetensors": "model.safetensors",
    "config": "config.json",
    "tokenizer": "tokenizer.json",
    "tokenizer's config": "tokenizer_config.json",
}


def _file(shell: Shell, place: str) -> tuple[Path, Path | None]:
    """Return the file of that place, removed, and MODEL."""
    model = shell.as_state_dict(shell.weights()) if place == "state dict" else None
    path = shell.model / PLACES[place]
    path.unlink()
    return path, model


def _everywhere(place: str) -> None:
    @hostile(f"{place}: a git-LFS pointer", f"{PLACES[place]} is a git-LFS pointer")
    def _(shell: Shell) -> Path | None:
        path, model = _file(shell, place)
        path.write_text(POINTER)
        return model

    @hostile(f"{place}: a web page", f"{PLACES[place]} is a web page")
    def _(shell: Shell) -> Path | None:
        path, model = _file(shell, place)
        path.write_text(PAGE)
        return model

    @hostile(f"{place}: empty", f"{PLACES[place]} is empty")
    def _(shell: Shell) -> Path | None:
        path, model = _file(shell, place)
        path.touch()
        return model

    @hostile(f"{place}: a FIFO", f"{PLACES[place]} is a FIFO")
    def _(shell: Shell) -> Path | None:
        path, model = _file(shell, place)
        os.mkfifo(path)
        return model

    @hostile(f"{place}: a link to an endless device", f"{PLACES[place]} is a device")
    def _(shell: Shell) -> Path | None:
        path, model = _file(shell, place)
        path.symlink_to("/dev/zero")
        return model


for _place in PLACES:
    _everywhere(_place)


@hostile("config: a folder", "is a folder, not the config")
def _(shell: Shell) -> None:
    (shell.model / "config.json").unlink()
    (shell.model / "config.json").mkdir()


@hostile("tokenizer: a folder", "tokenizer.json is a folder")
def _(shell: Shell) -> None:
    (shell.model / "tokenizer.json").unlink()
    (shell.model / "tokenizer.json").mkdir()


@hostile("safetensors: a folder", "model.safetensors is a folder")
def _(shell: Shell) -> None:
    (shell.model / "model.safetensors").unlink()
    (shell.model / "model.safetensors").mkdir()


@hostile("model: a link to nothing", "no such file", exit_code=USAGE)
def _(shell: Shell) -> Path:
    path = shell.model / "model.pt"
    path.symlink_to("nowhere")
    return path


@hostile("model: a socket", "is a socket")
def _(shell: Shell) -> Path:
    path = shell.model / "model.pt"
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/s")  # a socket's name holds 108 bytes
        Path(short, "s").rename(path)
    return path


@hostile("model: /dev/zero", "/dev/zero is a device")
def _(_shell: Shell) -> Path:
    return Path("/dev/zero")


def _foreign(name: str, content: bytes, told: str) -> None:
    @hostile(f"model: {name}", told)
    def _(shell: Shell) -> Path:
        path = shell.model / name
        path.write_bytes(content)
        shell.as_state_dict({}).unlink()
        return path


_foreign("model.gguf", b"GGUF\x03\x00\x00\x00", "is a GGUF file")
_foreign("tf_model.h5", b"\x89HDF\r\n\x1a\n" + bytes(8), "is an HDF5 file")
_foreign("model.onnx", b"\x08\x07\x12\x07pytorch", "no checkpoint is known by this suffix")
_foreign("model.bin", b"\x1f\x8b\x08" + bytes(20), "is a gzip file")
_foreign("saved_model.pb", b"\x08\x01\x12\x00", "no checkpoint is known by this suffix")


def safetensors(
    shell: Shell, header: object, data: bytes = b"", *, length: int | None = None
) -> None:
    """Write safetensors by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    claimed = len(text) if length is None else length
    content = claimed.to_bytes(8, "little") + text + data
    (shell.model / "model.safetensors").write_bytes(content)


def bias(begin: int, end: int, *, dtype: str = "F32") -> dict[str, object]:
    """Describe a tensor of two numbers."""
    return {"dtype": dtype, "shape": [2], "data_offsets": [begin, end]}


@hostile(
    "safetensors: a header of 2^60 bytes",
    HEADER,
    guarded=True,
)
def _(shell: Shell) -> None:
    safetensors(shell, {}, length=1 << 60)


@hostile("safetensors: a header that is no JSON", HEADER)
def _(shell: Shell) -> None:
    safetensors(shell, b"{'a': 1}")


@hostile("safetensors: tensors that overlap", HEADER)
def _(shell: Shell) -> None:
    safetensors(shell, {"a": bias(0, 8), "b": bias(4, 12)}, bytes(12))


@hostile("safetensors: fewer bytes than the dtype needs", HEADER)
def _(shell: Shell) -> None:
    safetensors(shell, {"a": bias(0, 8, dtype="F64")}, bytes(8))


@hostile("safetensors: an unknown dtype", HEADER)
def _(shell: Shell) -> None:
    safetensors(shell, {"a": bias(0, 8, dtype="OBJECT")}, bytes(8))


@hostile(
    "safetensors: a shape that overflows",
    HEADER,
    guarded=True,
)
def _(shell: Shell) -> None:
    entry = bias(0, 8) | {"shape": [1 << 40, 1 << 40]}
    safetensors(shell, {"a": entry}, bytes(8))


@hostile("safetensors: rubbish behind the tensors", HEADER)
def _(shell: Shell) -> None:
    path = shell.model / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"rubbish")


@hostile("safetensors: cut short", HEADER)
def _(shell: Shell) -> None:
    path = shell.model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@hostile(
    "safetensors: a pickle by another name",
    HEADER,
    guarded=True,
)
def _(shell: Shell) -> None:
    path = shell.as_state_dict(shell.weights())
    path.rename(shell.model / "model.safetensors")


@hostile("safetensors: infinity in one", "not finite (NaN or infinity): bert.pooler.dense.bias")
def _(shell: Shell) -> None:
    weights = shell.weights()
    weights["bert.pooler.dense.bias"][0] = torch.inf
    save_file(weights, shell.model / "model.safetensors", {"format": "pt"})


def _index(name: str, shard: object, told: str, *, kind: str = "model.safetensors") -> None:
    @hostile(f"index: {name}", told)
    def _(shell: Shell) -> None:
        weights = shell.model / "model.safetensors"
        weights.rename(shell.home / "elsewhere.safetensors")
        content = {"metadata": {}, "weight_map": {"classifier.bias": shard}}
        (shell.model / f"{kind}.index.json").write_text(json.dumps(content))


_index("an absolute path", "/etc/hostname", "is no file of its folder")
_index("a path upwards", "../elsewhere.safetensors", "is no file of its folder")
_index("a path upwards, of pickles", "../a.bin", "no file of its folder", kind="pytorch_model.bin")
_index("the folder itself", "..", "is no file of its folder")
_index("a number for a name", 7, "is no file of its folder")
_index("a shard that is missing", "model-00001-of-00002.safetensors", "which is not there")


@hostile("index: a link out of the folder", "is a link that leads out of its folder")
def _(shell: Shell) -> None:
    weights = shell.model / "model.safetensors"
    weights.rename(shell.home / "elsewhere.safetensors")
    (shell.model / "shard.safetensors").symlink_to(shell.home / "elsewhere.safetensors")
    content = {"weight_map": {"classifier.bias": "shard.safetensors"}}
    (shell.model / "model.safetensors.index.json").write_text(json.dumps(content))


@hostile("index: no weight_map", "holds no weight_map")
def _(shell: Shell) -> None:
    (shell.model / "model.safetensors.index.json").write_text("{}")
