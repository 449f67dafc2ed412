"""Hostile files in place of a model: pointers, pages, pipes, false headers and shard indexes."""

import json
import os
import socket
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.support.hostile import hostile_case
from tests.support.shell import USAGE, Shell

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 437\n"
PAGE = "\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"
HEADER_ERROR = "model.safetensors: the weights cannot be read: SafetensorError"
PLACES = {
    "state dict": "model.pt",
    "safetensors": "model.safetensors",
    "config": "config.json",
    "tokenizer": "tokenizer.json",
    "tokenizer's config": "tokenizer_config.json",
}


def _remove_file(shell: Shell, place: str) -> tuple[Path, Path | None]:
    """Remove the file of a place; return its path, and MODEL if that is not the folder."""
    model = shell.as_state_dict(shell.weights()) if place == "state dict" else None
    path = shell.model / PLACES[place]
    path.unlink()
    return path, model


def _place_cases(place: str) -> None:
    @hostile_case(f"{place}: a git-LFS pointer", f"{PLACES[place]} is a git-LFS pointer")
    def _(shell: Shell) -> Path | None:
        path, model = _remove_file(shell, place)
        path.write_text(POINTER)
        return model

    @hostile_case(f"{place}: a web page", f"{PLACES[place]} is a web page")
    def _(shell: Shell) -> Path | None:
        path, model = _remove_file(shell, place)
        path.write_text(PAGE)
        return model

    @hostile_case(f"{place}: empty", f"{PLACES[place]} is empty")
    def _(shell: Shell) -> Path | None:
        path, model = _remove_file(shell, place)
        path.touch()
        return model

    @hostile_case(f"{place}: a FIFO", f"{PLACES[place]} is a FIFO")
    def _(shell: Shell) -> Path | None:
        path, model = _remove_file(shell, place)
        os.mkfifo(path)
        return model

    @hostile_case(f"{place}: a link to an endless device", f"{PLACES[place]} is a device")
    def _(shell: Shell) -> Path | None:
        path, model = _remove_file(shell, place)
        path.symlink_to("/dev/zero")
        return model


for _name in PLACES:
    _place_cases(_name)


@hostile_case("config: a folder", "is a folder, not the config")
def _(shell: Shell) -> None:
    (shell.model / "config.json").unlink()
    (shell.model / "config.json").mkdir()


@hostile_case("tokenizer: a folder", "tokenizer.json is a folder")
def _(shell: Shell) -> None:
    (shell.model / "tokenizer.json").unlink()
    (shell.model / "tokenizer.json").mkdir()


@hostile_case("safetensors: a folder", "model.safetensors is a folder")
def _(shell: Shell) -> None:
    (shell.model / "model.safetensors").unlink()
    (shell.model / "model.safetensors").mkdir()


@hostile_case("model: a broken link", "no such file", exit_code=USAGE)
def _(shell: Shell) -> Path:
    path = shell.model / "model.pt"
    path.symlink_to("nowhere")
    return path


@hostile_case("model: a socket", "is a socket")
def _(shell: Shell) -> Path:
    path = shell.model / "model.pt"
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{short}/s")  # a socket's path may have 108 bytes (unix(7))
        Path(short, "s").rename(path)
    return path


@hostile_case("model: /dev/zero", "/dev/zero is a device")
def _(_shell: Shell) -> Path:
    return Path("/dev/zero")


def _foreign_case(name: str, content: bytes, message: str) -> None:
    @hostile_case(f"model: {name}", message)
    def _(shell: Shell) -> Path:
        path = shell.model / name
        path.write_bytes(content)
        shell.as_state_dict({}).unlink()
        return path


_foreign_case("model.gguf", b"GGUF\x03\x00\x00\x00", "is a GGUF file")
_foreign_case("tf_model.h5", b"\x89HDF\r\n\x1a\n" + bytes(8), "is an HDF5 file")
_foreign_case("model.onnx", b"\x08\x07\x12\x07pytorch", "is an ONNX graph")
_foreign_case("model.bin", b"\x1f\x8b\x08" + bytes(20), "is a gzip file")
_foreign_case("saved_model.pb", b"\x08\x01\x12\x00", "is a TensorFlow SavedModel")


def write_safetensors(
    shell: Shell, header: object, data: bytes = b"", *, length: int | None = None
) -> None:
    """Write `model.safetensors` by hand.

    Args:
        shell: The test's folder.
        header: The header as JSON, or its bytes.
        data: The bytes after the header.
        length: The header's length that the file declares; None for the true one.
    """
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    declared = len(text) if length is None else length
    content = declared.to_bytes(8, "little") + text + data
    (shell.model / "model.safetensors").write_bytes(content)


def tensor_entry(begin: int, end: int, *, dtype: str = "F32") -> dict[str, object]:
    """Return the header's entry of a tensor of two elements, between two offsets in bytes."""
    return {"dtype": dtype, "shape": [2], "data_offsets": [begin, end]}


@hostile_case("safetensors: a header of 2^60 bytes", HEADER_ERROR, isolated=True)
def _(shell: Shell) -> None:
    write_safetensors(shell, {}, length=1 << 60)


@hostile_case("safetensors: a header that is not JSON", HEADER_ERROR)
def _(shell: Shell) -> None:
    write_safetensors(shell, b"{'a': 1}")


@hostile_case("safetensors: tensors that overlap", HEADER_ERROR)
def _(shell: Shell) -> None:
    write_safetensors(shell, {"a": tensor_entry(0, 8), "b": tensor_entry(4, 12)}, bytes(12))


@hostile_case("safetensors: fewer bytes than the dtype needs", HEADER_ERROR)
def _(shell: Shell) -> None:
    write_safetensors(shell, {"a": tensor_entry(0, 8, dtype="F64")}, bytes(8))


@hostile_case("safetensors: an unknown dtype", HEADER_ERROR)
def _(shell: Shell) -> None:
    write_safetensors(shell, {"a": tensor_entry(0, 8, dtype="OBJECT")}, bytes(8))


@hostile_case("safetensors: a shape that overflows", HEADER_ERROR, isolated=True)
def _(shell: Shell) -> None:
    entry = tensor_entry(0, 8) | {"shape": [1 << 40, 1 << 40]}
    write_safetensors(shell, {"a": entry}, bytes(8))


@hostile_case("safetensors: extra bytes after the tensors", HEADER_ERROR)
def _(shell: Shell) -> None:
    path = shell.model / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"rubbish")


@hostile_case("safetensors: truncated", HEADER_ERROR)
def _(shell: Shell) -> None:
    path = shell.model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@hostile_case("safetensors: a pickle with this suffix", HEADER_ERROR, isolated=True)
def _(shell: Shell) -> None:
    path = shell.as_state_dict(shell.weights())
    path.rename(shell.model / "model.safetensors")


@hostile_case(
    "safetensors: an infinite weight", "not finite (NaN or infinity): bert.pooler.dense.bias"
)
def _(shell: Shell) -> None:
    weights = shell.weights()
    weights["bert.pooler.dense.bias"][0] = torch.inf
    save_file(weights, shell.model / "model.safetensors", {"format": "pt"})


def _index_case(name: str, shard: object, message: str, *, kind: str = "model.safetensors") -> None:
    @hostile_case(f"index: {name}", message)
    def _(shell: Shell) -> None:
        weights = shell.model / "model.safetensors"
        weights.rename(shell.home / "elsewhere.safetensors")
        content = {"metadata": {}, "weight_map": {"classifier.bias": shard}}
        (shell.model / f"{kind}.index.json").write_text(json.dumps(content))


_index_case("an absolute path", "/etc/hostname", "is not a plain file name")
_index_case("a path to the parent folder", "../elsewhere.safetensors", "is not a plain file name")
_index_case(
    "a path to the parent folder, of pickles",
    "../a.bin",
    "is not a plain file name",
    kind="pytorch_model.bin",
)
_index_case("the folder itself", "..", "is not a plain file name")
_index_case("a number in place of a file name", 7, "is not a plain file name")
_index_case("a missing shard", "model-00001-of-00002.safetensors", "which does not exist")


@hostile_case(
    "index: a link to a file outside the folder", "is a link to a file outside its folder"
)
def _(shell: Shell) -> None:
    weights = shell.model / "model.safetensors"
    weights.rename(shell.home / "elsewhere.safetensors")
    (shell.model / "shard.safetensors").symlink_to(shell.home / "elsewhere.safetensors")
    content = {"weight_map": {"classifier.bias": "shard.safetensors"}}
    (shell.model / "model.safetensors.index.json").write_text(json.dumps(content))


@hostile_case("index: no weight_map", "holds no weight_map")
def _(shell: Shell) -> None:
    (shell.model / "model.safetensors.index.json").write_text("{}")


def _sparse_case(name: str) -> None:
    @hostile_case(f"model: 1 TB of holes in {name}", "almost none on the disk", isolated=True)
    def _(shell: Shell) -> Path:
        path = shell.as_state_dict(shell.weights()).rename(shell.model / name)
        os.truncate(path, 1 << 40)
        return path


_sparse_case("holes.pt")
_sparse_case("holes.safetensors")
