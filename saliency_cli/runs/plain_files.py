"""Tells plain files from links, FIFOs, devices and sparse files without reading them."""

import stat
from pathlib import Path

from saliency_cli.errors import UsageError
from saliency_cli.inputs.sparse_files import is_sparse
from saliency_cli.safe_text import visible

_SPECIAL_FILES = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def special_kind(path: Path) -> str | None:
    """Return what a path is if it is no plain file of one name; nothing of it is read.

    Raises:
        OSError: If there is no such path.
    """
    status = path.lstat()
    for is_kind, kind in _SPECIAL_FILES:
        if is_kind(status.st_mode):
            return kind
    if status.st_nlink > 1:
        return "a file with another hard link"
    if is_sparse(status):
        return "a sparse file"
    return None


def check_plain(path: Path) -> None:
    """Check that a file of a run can be read; a missing one is not reported here.

    Raises:
        UsageError: If it is a link, a FIFO, a device, a folder or a sparse file.
    """
    try:
        kind = special_kind(path)
    except FileNotFoundError:
        return
    if kind is not None:
        raise UsageError(
            f"{visible(str(path))} is {kind}, not a file that saliency wrote",
            "replace it by the file of the run",
        )
