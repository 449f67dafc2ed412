"""What a file really is, whatever its name says: looked at before any library opens it."""

import stat
from pathlib import Path

from saliency_cli.errors import CheckpointError
from saliency_cli.escapes import visible

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
