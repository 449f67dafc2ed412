"""The containers of tensors: one that lies about what it holds is not unpacked."""

import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from safetensors import safe_open

from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, visible

ZIP = b"PK\x03\x04"
_CHUNK = 1 << 20
_ENCRYPTED = 1
_AGAIN = "save it again with torch.save(model.state_dict(), path)"


def check_archive(path: Path) -> None:
    """See that a zip archive is one of tensors, whole, and no larger unpacked than it is.

    A file that is no zip archive passes: `torch.save` wrote plain pickles once. CRCs are checked
    here since torch reads records without looking at them.

    Raises:
        CheckpointError: it is TorchScript or another program's, or a record is compressed, larger
            than the file or damaged.
    """
    with path.open("rb") as stream:
        if stream.read(len(ZIP)) != ZIP:
            return
    try:
        with ZipFile(path) as archive:
            records = archive.infolist()
            _check_kind(path, [record.filename for record in records])
            _check_sizes(path, records)
            _check_content(path, archive)
    except (BadZipFile, EOFError, NotImplementedError, OSError, ValueError) as error:
        _refuse(path, excerpt(f"the zip archive is damaged or cut short ({error})"))


def check_safetensors(path: Path) -> None:
    """See that a file's safetensors header is sound, so that what is wrong is told of this file.

    The library sees to it that the tensors lie side by side and fill the file.

    Raises:
        CheckpointError: it is not.
    """
    check_file(path, what="the weights")
    with refusing(path, "the weights"), safe_open(path, "pt"):
        pass


def _check_kind(path: Path, names: Sequence[str]) -> None:
    files = {PurePosixPath(name).name for name in names}
    if "constants.pkl" in files:
        raise CheckpointError(f"{visible(str(path))} is a TorchScript archive: a program", _AGAIN)
    if "data.pkl" in files:
        return
    kind = "a zip archive of something else"
    if "model.weights.h5" in files:
        kind = "a Keras model"
    elif files and all(name.endswith(".npy") for name in files):
        kind = "a NumPy archive"
    elif any(name.endswith(".pt2") for name in files) or "archive_format" in files:
        kind = "an exported program"
    raise CheckpointError(f"{visible(str(path))} is {kind}, not a state dict", _AGAIN)


def _check_sizes(path: Path, records: Sequence[ZipInfo]) -> None:
    # zipfile forgives bytes before the archive, torch does not: with the first record at 0 the two
    # read the same one.
    if min(record.header_offset for record in records) != 0:
        _refuse(path, "the zip archive does not begin with its first record")
    if len({record.filename for record in records}) < len(records):
        _refuse(path, "two records of the zip archive have the same name")
    for record in records:
        if record.compress_type != ZIP_STORED or record.flag_bits & _ENCRYPTED:
            _refuse(path, f"record {visible(record.filename)} is compressed or encrypted")
        if record.file_size != record.compress_size:
            _refuse(path, f"record {visible(record.filename)} has two sizes")
    if sum(record.file_size for record in records) > path.stat().st_size:
        _refuse(path, "its records are larger than the file")


def _check_content(path: Path, archive: ZipFile) -> None:
    for record in archive.infolist():
        try:
            with archive.open(record) as stream:
                while stream.read(_CHUNK):
                    pass
        except (BadZipFile, EOFError):
            _refuse(path, f"record {visible(record.filename)} is damaged: its CRC-32 is another")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise CheckpointError(f"{visible(str(path))}: the weights cannot be read: {reason}", _AGAIN)


KINDS = {
    b"GGUF": "a GGUF file",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras writes it",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "a gzip file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\xfd7zXZ\x00": "an xz file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"%PDF-": "a PDF",
}
"""The first bytes of files that people take for checkpoints."""

_LFS = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_TAR = slice(257, 262)
_HEAD = 512
_OPENED = {".bin", ".jinja", ".json", ".model", ".safetensors", ".txt"}
_DOWNLOAD = "download the file itself"


def check_file(path: Path, *, what: str, most: int | None = None) -> None:
    """See that `path` may be opened as `what`: a regular file with some content of its own.

    The file is asked what it is before it is opened, since opening a FIFO waits for a writer.

    Raises:
        CheckpointError: it is no file, is empty, has more than `most` bytes, or is something else.
        OSError: it is not there.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"{visible(str(path))} is {_kind(status.st_mode)}, not {what}")
    if status.st_size == 0:
        raise CheckpointError(f"{visible(str(path))} is empty, and should be {what}", _DOWNLOAD)
    if most is not None and status.st_size > most:
        raise CheckpointError(
            f"{visible(str(path))} has {status.st_size:,} bytes, and {what} at most {most:,}"
        )
    with path.open("rb") as stream:
        disguise = unmasked(stream.read(_HEAD))
    if disguise is not None:
        raise CheckpointError(f"{visible(str(path))} is {disguise}, not {what}", _way_out(disguise))


def check_folder(folder: Path) -> None:
    """See that no file of `folder` that a library may open is a FIFO, a socket or a device.

    Raises:
        CheckpointError: one is.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix in _OPENED and path.exists():
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise CheckpointError(f"{visible(str(path))} is {_kind(mode)}, not a file")


def unmasked(head: bytes) -> str | None:
    """Say what a file that begins with `head` is, where it is a known disguise."""
    if head.startswith(_LFS):
        return "a git-LFS pointer"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES):
        return "a web page"
    if head[_TAR] == b"ustar":
        return "a tar archive"
    return next((kind for magic, kind in KINDS.items() if head.startswith(magic)), None)


def _way_out(disguise: str) -> str:
    if disguise == "a git-LFS pointer":
        return "fetch the file itself with git lfs pull"
    if disguise == "a web page":
        return f"{_DOWNLOAD}: a page of the site was saved in its place"
    return "save the model again with save_pretrained, or torch.save(model.state_dict(), path)"


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "a special file")
