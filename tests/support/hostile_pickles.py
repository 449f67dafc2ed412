"""Hostile `.pt` files: zip records and pickles with false sizes, and pickles that run code."""

import io
import os
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from tests.support.hostile import hostile_case, marker_file
from tests.support.shell import Shell


def write_zip(path: Path, records: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip archive with the layout of `torch.save`; return its path."""
    with zipfile.ZipFile(path, "w", method) as target:
        for name, content in records.items():
            target.writestr(f"m/{name}", content)
    return path


def pickle_integer(value: int) -> bytes:
    """Return the opcode LONG1 for an integer of up to 255 bytes."""
    digits = pickle.encode_long(value)
    return b"\x8a" + bytes([len(digits)]) + digits


def pickle_string(value: str) -> bytes:
    """Return the opcode BINUNICODE for an ASCII string."""
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def state_dict_pickle(size: Sequence[int], stride: Sequence[int], *, claimed: int = 4) -> bytes:
    """Return a pickle of a state dict with one tensor, assembled by hand so that it may lie.

    Args:
        size: The tensor's shape.
        stride: Its strides, in elements.
        claimed: The number of floats that its storage is said to hold.
    """
    place = pickle_string("0") + pickle_string("cpu") + pickle_integer(claimed)
    storage = b"(" + pickle_string("storage") + b"ctorch\nFloatStorage\n" + place + b"tQ"
    sizes, strides = (b"".join(map(pickle_integer, numbers)) for numbers in (size, stride))
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00"
    shape = b"(" + sizes + b"t(" + strides + b"t"
    rest = b"\x89ccollections\nOrderedDict\n)R"
    return b"\x80\x02}" + pickle_string("classifier.bias") + tensor + shape + rest + b"tRs."


def save_archive(shell: Shell, data: bytes, *, method: int = zipfile.ZIP_STORED) -> Path:
    """Write a `.pt` archive with this pickle and a storage of four floats; return its path."""
    path = shell.as_state_dict({})
    records = {"data.pkl": data, "byteorder": b"little", "data/0": bytes(16), "version": b"3\n"}
    return write_zip(path, records, method=method)


@hostile_case("zip: compressed records", "compressed")
def _(shell: Shell) -> Path:
    return save_archive(shell, state_dict_pickle((4,), (1,)), method=zipfile.ZIP_DEFLATED)


@hostile_case("zip: a bomb of 4 GB in 4 MB", "compressed", isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        target.writestr("m/data.pkl", state_dict_pickle((1 << 30,), (1,), claimed=1 << 30))
        target.writestr("m/data/0", bytes(1 << 22))
        target.filelist[-1].file_size = 1 << 32
    return path


@hostile_case("zip: a record with a wrong CRC-32", "CRC-32")
def _(shell: Shell) -> Path:
    path = shell.as_state_dict(shell.weights())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


@hostile_case("zip: a record is larger than the file", "larger than the file", isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("m/data.pkl", state_dict_pickle((1 << 40,), (1,), claimed=1 << 40))
        target.writestr("m/data/0", bytes(16))
        target.filelist[-1].file_size = target.filelist[-1].compress_size = 1 << 42
    return path


@hostile_case("zip: two records share their bytes", "larger than the file")
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("m/data.pkl", state_dict_pickle((1000,), (1,), claimed=1000))
        target.writestr("m/data/0", bytes(4000))
        for index in range(1, 4):
            twin = zipfile.ZipInfo(f"m/data/{index}")
            twin.header_offset = target.filelist[1].header_offset
            twin.file_size = twin.compress_size = 4000
            twin.CRC = target.filelist[1].CRC
            target.filelist.append(twin)
    return path


@hostile_case("zip: two records with the same name", "the same name")
def _(shell: Shell) -> Path:
    path = save_archive(shell, state_dict_pickle((4,), (1,)))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as target:
        warnings.simplefilter("ignore")
        target.writestr("m/data/0", bytes(16))
    return path


@hostile_case("zip: bytes before the first record", "does not begin with its first record")
def _(shell: Shell) -> Path:
    path = save_archive(shell, state_dict_pickle((4,), (1,)))
    path.write_bytes(b"PK\x03\x04" + path.read_bytes())
    return path


@hostile_case("zip: truncated", "damaged or cut short")
def _(shell: Shell) -> Path:
    path = shell.as_state_dict(shell.weights())
    path.write_bytes(path.read_bytes()[:-200])
    return path


@hostile_case("zip: a Keras model", "is a Keras model")
def _(shell: Shell) -> Path:
    return write_zip(
        shell.as_state_dict({}), {"config.json": b"{}", "model.weights.h5": b"\x89HDF\r\n"}
    )


@hostile_case("zip: a NumPy archive", "is a NumPy archive")
def _(shell: Shell) -> Path:
    return write_zip(shell.as_state_dict({}), {"a.npy": b"\x93NUMPY"})


@hostile_case("TorchScript", "is a TorchScript archive", isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    return path


@hostile_case("tensor: 10^12 elements by stride 0", "has 1,000,000,000,000 elements", isolated=True)
def _(shell: Shell) -> Path:
    return save_archive(shell, state_dict_pickle((10**6, 10**6), (0, 0)))


@hostile_case("tensor: a view that overlaps itself", "has 9 elements but stores fewer")
def _(shell: Shell) -> Path:
    return shell.as_state_dict({"classifier.bias": torch.arange(5.0).as_strided((3, 3), (1, 1))})


@hostile_case("tensor: a view past the end of its storage", "cannot be read")
def _(shell: Shell) -> Path:
    return save_archive(shell, state_dict_pickle((8,), (1,)))


@hostile_case("tensor: a storage larger than its record", "cannot be read", isolated=True)
def _(shell: Shell) -> Path:
    return save_archive(shell, state_dict_pickle((10**12,), (1,), claimed=10**12))


@hostile_case("tensor: a negative stride", "cannot be read")
def _(shell: Shell) -> Path:
    return save_archive(shell, state_dict_pickle((2, 2), (-1, 1)))


@hostile_case("tensor: on the meta device", "has a shape but no values")
def _(shell: Shell) -> Path:
    weights = shell.weights()
    return shell.as_state_dict(weights | {"classifier.bias": torch.empty(2, device="meta")})


@hostile_case("tensor: sparse", "is not dense")
def _(shell: Shell) -> Path:
    return shell.as_state_dict(shell.weights() | {"classifier.bias": torch.eye(2).to_sparse()})


@hostile_case("tensor: nested", "is not dense")
def _(shell: Shell) -> Path:
    ragged = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    return shell.as_state_dict(shell.weights() | {"classifier.bias": ragged})


@hostile_case("tensor: quantized", "is quantized")
def _(shell: Shell) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantized tensors are deprecated
        small = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    return shell.as_state_dict(shell.weights() | {"classifier.bias": small})


@hostile_case("tensor: complex", "is complex")
def _(shell: Shell) -> Path:
    return shell.as_state_dict(shell.weights() | {"classifier.bias": torch.ones(2) * 1j})


@hostile_case("weights: a NaN weight", "not finite (NaN or infinity): classifier.weight")
def _(shell: Shell) -> Path:
    weights = shell.weights()
    weights["classifier.weight"][0, 0] = torch.nan
    return shell.as_state_dict(weights)


class PickledCall:
    """An object whose pickle calls a function when it is opened."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._call


def touch_marker(shell: Shell) -> str:
    """Return a shell command that creates the marker file."""
    return f"touch '{marker_file(shell)}'"


def open_marker(shell: Shell) -> str:
    """Return Python code that creates the marker file."""
    return f"open({str(marker_file(shell))!r}, 'w')"


@hostile_case("pickle: os.system in a zip", "more than tensors", isolated=True)
def _(shell: Shell) -> Path:
    return shell.as_state_dict({"classifier.bias": PickledCall(os.system, touch_marker(shell))})


@hostile_case("pickle: os.system under a nested state dict", "more than tensors", isolated=True)
def _(shell: Shell) -> Path:
    hidden = {"optimizer": [{"state": PickledCall(os.system, touch_marker(shell))}]}
    return shell.as_state_dict({"state_dict": shell.weights(), **hidden})


@hostile_case("pickle: eval, without a zip", "more than tensors", isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    path.write_bytes(pickle.dumps(PickledCall(eval, open_marker(shell)), protocol=4))
    return path


@hostile_case("pickle: os.system by GLOBAL, protocol 0", "more than tensors", isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    path.write_bytes(b"cos\nsystem\n(V" + touch_marker(shell).encode() + b"\ntR.")
    return path


@hostile_case("pickle: a whole module in torch's old format", "more than tensors", isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    module = nn.Linear(2, 2)
    module.__dict__["callback"] = PickledCall(Path.touch, marker_file(shell))
    torch.save(module, path, _use_new_zipfile_serialization=False)
    return path


@hostile_case("pickle: exec in the old tar format", "is a tar archive", isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    code = pickle.dumps(PickledCall(exec, open_marker(shell)))
    with tarfile.open(path, "w") as target:
        for name in ("storages", "tensors", "pickle"):
            entry = tarfile.TarInfo(name)
            entry.size = len(code)
            target.addfile(entry, io.BytesIO(code))
    return path


@hostile_case("pickle: a bytearray of 10^13 bytes", "model.pt", isolated=True)
def _(shell: Shell) -> Path:
    call = b"c__builtin__\nbytearray\n" + pickle_integer(10**13) + b"\x85R"
    return save_archive(shell, b"\x80\x02}" + pickle_string("a") + call + b"s.")


@hostile_case("pickle: a storage of 16 GB in the old format", "cannot be read", isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    torch.save({"a": torch.ones(4)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    count = content.index(b"K\x04", content.index(b"cpu"))
    path.write_bytes(content[:count] + pickle_integer(1 << 32) + content[count + 2 :])
    return path


_DEEP = "is nested more than 200 deep"


@hostile_case("pickle: nested 100,000 deep", _DEEP, isolated=True)
def _(shell: Shell) -> Path:
    return save_archive(shell, b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b".")


def nested_key_pickle(depth: int, *, step: bytes = b"\x85") -> bytes:
    """Return a pickle of a dict with one key, made of an empty tuple.

    Args:
        depth: How often the step is taken.
        step: Opcodes that put the tuple on top of the stack into another; by default TUPLE1.
    """
    return b"\x80\x02})" + step * depth + b"K\x01s."


@hostile_case("pickle: a key nested 100 deep", "a key is not a string", isolated=True)
def _(shell: Shell) -> Path:
    return save_archive(shell, nested_key_pickle(100))


@hostile_case("pickle: a key nested 10^6 deep", _DEEP, isolated=True)
def _(shell: Shell) -> Path:
    return save_archive(shell, nested_key_pickle(10**6))


@hostile_case("pickle: a key nested 10^6 deep, without a zip", _DEEP, isolated=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    torch.save({}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x80\x02}q\x00.", nested_key_pickle(10**6)))
    return path


@hostile_case("pickle: a key of 2^60 parts", "more than 10,000,000 items", isolated=True)
def _(shell: Shell) -> Path:
    return save_archive(shell, nested_key_pickle(60, step=b"q\x00h\x00\x86"))


@hostile_case("tensor: an attribute that hides a method", "an attribute that hides one of torch's")
def _(shell: Shell) -> Path:
    weight = nn.Parameter(shell.weights()["classifier.bias"])
    weight.numel = 3  # type: ignore[method-assign,assignment]
    return shell.as_state_dict(shell.weights() | {"classifier.bias": weight})
