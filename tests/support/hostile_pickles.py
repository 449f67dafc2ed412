"""Hostile `.pt` files: zip records and pickles that lie, and those that carry code."""

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

from tests.support.hostile import canary, hostile
from tests.support.shell import Shell


def archive(path: Path, records: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip archive laid out as `torch.save` does."""
    with zipfile.ZipFile(path, "w", method) as target:
        for name, content in records.items():
            target.writestr(f"m/{name}", content)
    return path


def number(value: int) -> bytes:
    """Pickle an integer of any size."""
    digits = pickle.encode_long(value)
    return b"\x8a" + bytes([len(digits)]) + digits


def text(value: str) -> bytes:
    """Pickle a string."""
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def described(size: Sequence[int], stride: Sequence[int], *, claimed: int = 4) -> bytes:
    """Pickle a state dict of one tensor by hand: any shape over a storage of `claimed` floats."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu")
    shape = b"(" + b"".join(map(number, size)) + b"t(" + b"".join(map(number, stride)) + b"t"
    rest = b"\x89ccollections\nOrderedDict\n)R"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(claimed) + b"tQK\x00"
    return b"\x80\x02}" + text("classifier.bias") + tensor + shape + rest + b"tRs."


def with_data(shell: Shell, data: bytes, *, method: int = zipfile.ZIP_STORED) -> Path:
    """Write a `.pt` archive of this pickle and a storage of four floats."""
    path = shell.as_state_dict({})
    records = {"data.pkl": data, "byteorder": b"little", "data/0": bytes(16), "version": b"3\n"}
    return archive(path, records, method=method)


@hostile("zip: records are compressed", "compressed")
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    records = {"data.pkl": described((4,), (1,)), "data/0": bytes(16)}
    return archive(path, records, method=zipfile.ZIP_DEFLATED)


@hostile("zip: a bomb of 4 GB in 4 MB", "compressed", guarded=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        target.writestr("m/data.pkl", described((1 << 30,), (1,), claimed=1 << 30))
        target.writestr("m/data/0", bytes(1 << 22))
        target.filelist[-1].file_size = 1 << 32
    return path


@hostile("zip: a record's CRC-32 is another", "CRC-32")
def _(shell: Shell) -> Path:
    path = shell.as_state_dict(shell.weights())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


@hostile("zip: a record is larger than the file", "larger than the file", guarded=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("m/data.pkl", described((1 << 40,), (1,), claimed=1 << 40))
        target.writestr("m/data/0", bytes(16))
        target.filelist[-1].file_size = target.filelist[-1].compress_size = 1 << 42
    return path


@hostile("zip: two records share their bytes", "larger than the file")
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("m/data.pkl", described((1000,), (1,), claimed=1000))
        target.writestr("m/data/0", bytes(4000))
        for index in range(1, 4):
            twin = zipfile.ZipInfo(f"m/data/{index}")
            twin.header_offset = target.filelist[1].header_offset
            twin.file_size = twin.compress_size = 4000
            twin.CRC = target.filelist[1].CRC
            target.filelist.append(twin)
    return path


@hostile("zip: two records have one name", "the same name")
def _(shell: Shell) -> Path:
    path = with_data(shell, described((4,), (1,)))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as target:
        warnings.simplefilter("ignore")
        target.writestr("m/data/0", bytes(16))
    return path


@hostile("zip: bytes before the first record", "does not begin with its first record")
def _(shell: Shell) -> Path:
    path = with_data(shell, described((4,), (1,)))
    path.write_bytes(b"PK\x03\x04" + path.read_bytes())
    return path


@hostile("zip: cut short", "damaged or cut short")
def _(shell: Shell) -> Path:
    path = shell.as_state_dict(shell.weights())
    path.write_bytes(path.read_bytes()[:-200])
    return path


@hostile("zip: a Keras model", "is a Keras model")
def _(shell: Shell) -> Path:
    return archive(
        shell.as_state_dict({}), {"config.json": b"{}", "model.weights.h5": b"\x89HDF\r\n"}
    )


@hostile("zip: a NumPy archive", "is a NumPy archive")
def _(shell: Shell) -> Path:
    return archive(shell.as_state_dict({}), {"a.npy": b"\x93NUMPY"})


@hostile("TorchScript", "is a TorchScript archive", guarded=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to give TorchScript up
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), path)
    return path


@hostile("tensor: stride 0 shows 10^12 numbers", "shows 1,000,000,000,000 numbers", guarded=True)
def _(shell: Shell) -> Path:
    return with_data(shell, described((10**6, 10**6), (0, 0)))


@hostile("tensor: windows that overlap", "shows 9 numbers and stores fewer")
def _(shell: Shell) -> Path:
    return shell.as_state_dict({"classifier.bias": torch.arange(5.0).as_strided((3, 3), (1, 1))})


@hostile("tensor: a view beyond its storage", "cannot be read")
def _(shell: Shell) -> Path:
    return with_data(shell, described((8,), (1,)))


@hostile("tensor: a storage larger than its record", "cannot be read", guarded=True)
def _(shell: Shell) -> Path:
    return with_data(shell, described((10**12,), (1,), claimed=10**12))


@hostile("tensor: a negative stride", "cannot be read")
def _(shell: Shell) -> Path:
    return with_data(shell, described((2, 2), (-1, 1)))


@hostile("tensor: on the meta device", "has a shape and no numbers")
def _(shell: Shell) -> Path:
    weights = shell.weights()
    return shell.as_state_dict(weights | {"classifier.bias": torch.empty(2, device="meta")})


@hostile("tensor: sparse", "is not dense")
def _(shell: Shell) -> Path:
    return shell.as_state_dict(shell.weights() | {"classifier.bias": torch.eye(2).to_sparse()})


@hostile("tensor: nested", "is not dense")
def _(shell: Shell) -> Path:
    ragged = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    return shell.as_state_dict(shell.weights() | {"classifier.bias": ragged})


@hostile("tensor: quantized", "is quantized")
def _(shell: Shell) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is about to give such tensors up
        small = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    return shell.as_state_dict(shell.weights() | {"classifier.bias": small})


@hostile("tensor: complex", "is complex")
def _(shell: Shell) -> Path:
    return shell.as_state_dict(shell.weights() | {"classifier.bias": torch.ones(2) * 1j})


@hostile("weights: NaN in one", "not finite (NaN or infinity): classifier.weight")
def _(shell: Shell) -> Path:
    weights = shell.weights()
    weights["classifier.weight"][0, 0] = torch.nan
    return shell.as_state_dict(weights)


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._call


def shout(shell: Shell) -> str:
    """Return a shell command that leaves the canary."""
    return f"touch '{canary(shell)}'"


@hostile("pickle: os.system in a zip", "more than tensors", guarded=True)
def _(shell: Shell) -> Path:
    return shell.as_state_dict({"classifier.bias": Call(os.system, shout(shell))})


@hostile("pickle: os.system under a nested state dict", "more than tensors", guarded=True)
def _(shell: Shell) -> Path:
    hidden = {"optimizer": [{"state": Call(os.system, shout(shell))}]}
    return shell.as_state_dict({"state_dict": shell.weights(), **hidden})


@hostile("pickle: eval, without a zip", "more than tensors", guarded=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    path.write_bytes(pickle.dumps(Call(eval, f"open({str(canary(shell))!r}, 'w')"), protocol=4))
    return path


@hostile("pickle: the GLOBAL of protocol 0", "more than tensors", guarded=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    path.write_bytes(b"cos\nsystem\n(V" + shout(shell).encode() + b"\ntR.")
    return path


@hostile("pickle: a whole module in torch's old format", "more than tensors", guarded=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    module = nn.Linear(2, 2)
    module.__dict__["callback"] = Call(Path.touch, canary(shell))
    torch.save(module, path, _use_new_zipfile_serialization=False)
    return path


@hostile("pickle: exec behind a zip of the old tar format", "is a tar archive", guarded=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    code = pickle.dumps(Call(exec, f"open({str(canary(shell))!r}, 'w')"))
    with tarfile.open(path, "w") as target:
        for name in ("storages", "tensors", "pickle"):
            entry = tarfile.TarInfo(name)
            entry.size = len(code)
            target.addfile(entry, io.BytesIO(code))
    return path


@hostile("pickle: a bytearray of 10^13 bytes", "model.pt", guarded=True)
def _(shell: Shell) -> Path:
    data = b"\x80\x02}" + text("a") + b"c__builtin__\nbytearray\n" + number(10**13) + b"\x85Rs."
    return with_data(shell, data)


@hostile("pickle: an old format's storage of 16 GB", "cannot be read", guarded=True)
def _(shell: Shell) -> Path:
    path = shell.as_state_dict({})
    torch.save({"a": torch.ones(4)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    count = content.index(b"K\x04", content.index(b"cpu"))
    path.write_bytes(content[:count] + number(1 << 32) + content[count + 2 :])
    return path


@hostile("pickle: nested 100,000 deep", "model.pt", guarded=True)
def _(shell: Shell) -> Path:
    return with_data(shell, b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b".")
