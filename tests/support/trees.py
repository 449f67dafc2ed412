"""What is below a folder, so that two states of it can be compared."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

Tree = dict[str, tuple[int, int, bytes | str | None]]
_LARGEST = 2**20


def tree(folder: Path, *, content: bool = True) -> Tree:
    """Return inode, mode and content of everything below a folder; no special file is read.

    Args:
        folder: The folder.
        content: Whether to read the files; else their size and the time of their last change.
    """
    return {os.path.relpath(each.path, folder): _state(each, content) for each in _all(folder)}


def _all(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _all(entry.path)


def _state(entry: os.DirEntry[str], content: bool) -> tuple[int, int, bytes | str | None]:
    status = entry.stat(follow_symlinks=False)
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        return 0, status.st_mode, None
    if kind == stat.S_IFLNK:
        return status.st_ino, status.st_mode, os.readlink(entry.path)  # noqa: PTH115
    if kind != stat.S_IFREG:
        return status.st_ino, status.st_mode, None
    if content and status.st_size < _LARGEST:
        return status.st_ino, status.st_mode, Path(entry.path).read_bytes()
    return status.st_ino, status.st_mode, f"{status.st_size} {status.st_ctime_ns}"


def changed(before: Tree, after: Tree) -> list[str]:
    """Return the paths that differ between two states of a folder.

    Args:
        before: The first state.
        after: The second state.
    """
    return sorted(p for p in before.keys() | after.keys() if before.get(p) != after.get(p))
