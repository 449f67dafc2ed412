"""Checks of files before a library opens them: what kind of file it is, and zip containers.

A file in the place of a model may be a FIFO, a web page or another program's format, and a zip
archive may declare false sizes for its records. Nothing is unpacked here.
"""

import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from safetensors import safe_open

from saliency_cli.checkpoints.read_errors import SAVE_STATE_DICT, translate_errors
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, visible

MAGIC_NUMBERS = {
    b"GGUF": "a GGUF file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes it",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "a gzip file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\xfd7zXZ\x00": "an xz file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"%PDF-": "a PDF",
}
"""The first bytes of other formats that people give in place of a checkpoint."""

SAFETENSORS_SUFFIX = ".safetensors"
PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".ckpt")
WEIGHT_SUFFIXES = (SAFETENSORS_SUFFIX, *PICKLE_SUFFIXES)
"""The suffixes of files of weights."""

GIVE_ORIGINAL = "give the PyTorch model that it was made from"
"""The hint for a model of another program."""

_OF_OTHER_PROGRAMS = {MAGIC_NUMBERS[b"GGUF"], MAGIC_NUMBERS[b"\x89HDF\r\n\x1a\n"]}
_HEAD_BYTES = 512
_LFS_POINTER = b"version https://git-lfs"
_UTF8_BOM = b"\xef\xbb\xbf"
_MARKUP = (b"<!doctype", b"<html", b"<?xml")
_TAR_MAGIC = slice(257, 262)  # where the POSIX ustar header has its magic
_OPENED_SUFFIXES = {".bin", ".jinja", ".json", ".model", ".safetensors", ".txt"}
_DOWNLOAD_FILE = "download the file itself"

_ZIP_MAGIC = b"PK\x03\x04"
_ZIP_ENCRYPTED = 1  # bit 0 of a record's flags (APPNOTE.TXT, 4.4.4)
_CHUNK_BYTES = 1 << 20
_SPARSE_BYTES = 1 << 30
_SPARSE_FACTOR = 64  # file systems that compress store weights in more than a 64th of their size


def check_file(path: Path, *, what: str, max_bytes: int | None = None) -> None:
    """Raise an error unless `path` is a regular, non-empty file that may be opened as `what`.

    The file's type is checked before it is opened, since opening a FIFO waits for a writer.

    Args:
        path: The file.
        what: What the file should be, with its article, for messages: "the config".
        max_bytes: The largest size allowed, in bytes; None for any size.

    Raises:
        CheckpointError: It is not a regular file, is empty, has more than `max_bytes`, consists
            of holes, or its first bytes are those of another format.
        OSError: The file does not exist.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"{visible(str(path))} is {_file_type(status.st_mode)}, not {what}")
    if status.st_size == 0:
        raise CheckpointError(f"{visible(str(path))} is empty; expected {what}", _DOWNLOAD_FILE)
    if max_bytes is not None and status.st_size > max_bytes:
        raise CheckpointError(
            f"{visible(str(path))} has {status.st_size:,} bytes; {what} may have at most "
            f"{max_bytes:,}"
        )
    if status.st_size > _SPARSE_BYTES and status.st_blocks * 512 * _SPARSE_FACTOR < status.st_size:
        raise CheckpointError(
            f"{visible(str(path))} has {status.st_size:,} bytes, but almost none on the disk",
            _DOWNLOAD_FILE,
        )
    with path.open("rb") as stream:
        kind = foreign_format(stream.read(_HEAD_BYTES))
    if kind is not None:
        raise CheckpointError(
            f"{visible(str(path))} is {kind}, not {what}", _replacement_hint(kind)
        )


def check_folder(folder: Path) -> None:
    """Raise an error if a file of `folder` that a library may open is a FIFO, socket or device.

    Raises:
        CheckpointError: There is such a file.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix in _OPENED_SUFFIXES and path.exists():
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise CheckpointError(f"{visible(str(path))} is {_file_type(mode)}, not a file")


def is_plain_file_name(value: object) -> bool:
    """Whether a value of a JSON file is the name of a file in the folder of that file."""
    return (
        isinstance(value, str) and value not in {"", ".", ".."} and not set(value) & set("/\\\0:")
    )


def foreign_format(head: bytes) -> str | None:
    """Return the format of a file that begins with `head`, or None if it may be a checkpoint's."""
    if head.startswith(_LFS_POINTER):
        return "a git-LFS pointer"
    if head.removeprefix(_UTF8_BOM).lstrip().lower().startswith(_MARKUP):
        return "a web page"
    if head[_TAR_MAGIC] == b"ustar":
        return "a tar archive"
    return next((kind for magic, kind in MAGIC_NUMBERS.items() if head.startswith(magic)), None)


def _replacement_hint(kind: str) -> str:
    if kind == "a git-LFS pointer":
        return "fetch the file itself with git lfs pull"
    if kind == "a web page":
        return f"{_DOWNLOAD_FILE}: a page of the site was saved in its place"
    if kind in _OF_OTHER_PROGRAMS:
        return GIVE_ORIGINAL
    return "save the model again with save_pretrained, or torch.save(model.state_dict(), path)"


def _file_type(mode: int) -> str:
    types = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return types.get(stat.S_IFMT(mode), "a special file")


def check_safetensors(path: Path) -> None:
    """Raise an error unless the safetensors header of a file is sound.

    The library checks that the tensors lie side by side and fill the file. The check runs before
    the file is loaded, so that the message names this file.

    Raises:
        CheckpointError: The header is not sound.
    """
    check_file(path, what="the weights")
    with translate_errors(path, "the weights"), safe_open(path, "pt"):
        pass


def is_archive(path: Path) -> bool:
    """Whether a file begins as a zip archive, by which torch tells it from its old format."""
    with path.open("rb") as stream:
        return stream.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def check_archive(path: Path) -> None:
    """Raise an error unless a zip archive holds a state dict, stored whole and uncompressed.

    A file that is not a zip archive passes: older versions of `torch.save` wrote plain pickles.
    CRCs are checked here because torch reads records without checking them.

    Raises:
        CheckpointError: It is a TorchScript archive or another program's, or a record is
            compressed, larger than the file or damaged.
    """
    if not is_archive(path):
        return
    try:
        with ZipFile(path) as archive:
            records = archive.infolist()
            _check_archive_kind(path, [record.filename for record in records])
            _check_record_sizes(path, records)
            _check_record_crcs(path, archive)
    except (BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        _refuse_archive(path, excerpt(f"the zip archive is damaged or cut short ({error})"))


def _check_archive_kind(path: Path, names: Sequence[str]) -> None:
    files = {PurePosixPath(name).name for name in names}
    if "constants.pkl" in files:
        raise CheckpointError(
            f"{visible(str(path))} is a TorchScript archive, which holds code", SAVE_STATE_DICT
        )
    if "data.pkl" in files:
        return
    kind = "a zip archive of another kind"
    if "model.weights.h5" in files:
        kind = "a Keras model"
    elif files and all(name.endswith(".npy") for name in files):
        kind = "a NumPy archive"
    elif any(name.endswith(".pt2") for name in files) or "archive_format" in files:
        kind = "an exported program"
    raise CheckpointError(f"{visible(str(path))} is {kind}, not a state dict", SAVE_STATE_DICT)


def _check_record_sizes(path: Path, records: Sequence[ZipInfo]) -> None:
    # zipfile accepts bytes before the archive, torch does not: only if the first record is at
    # offset 0 do both read the same records.
    if min(record.header_offset for record in records) != 0:
        _refuse_archive(path, "the zip archive does not begin with its first record")
    if len({record.filename for record in records}) < len(records):
        _refuse_archive(path, "two records of the zip archive have the same name")
    for record in records:
        if record.compress_type != ZIP_STORED or record.flag_bits & _ZIP_ENCRYPTED:
            _refuse_archive(path, f"record {excerpt(record.filename)} is compressed or encrypted")
        if record.file_size != record.compress_size:
            _refuse_archive(path, f"record {excerpt(record.filename)} declares two different sizes")
    if sum(record.file_size for record in records) > path.stat().st_size:
        _refuse_archive(path, "its records are larger than the file")


def _check_record_crcs(path: Path, archive: ZipFile) -> None:
    for record in archive.infolist():
        try:
            with archive.open(record) as stream:
                while stream.read(_CHUNK_BYTES):
                    pass
        except (BadZipFile, EOFError):
            _refuse_archive(
                path, f"record {excerpt(record.filename)} is damaged: its CRC-32 does not match"
            )


def _refuse_archive(path: Path, reason: str) -> NoReturn:
    raise CheckpointError(
        f"{visible(str(path))}: the weights cannot be read: {reason}", SAVE_STATE_DICT
    )
