"""What tells that an open file is still the one that was planned, and which paths name none."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MAX_LINKS = 40
"""Maximum number of symbolic links followed in a path; the kernel's limit, path_resolution(7)."""


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """Where a file is, its size and when it was last written.

    Attributes:
        device: Number of the file system's device.
        inode: Number of the file on that device. `os.replace` puts another inode at a path.
        size: Size in bytes.
        modified_ns: Time of the last write in nanoseconds.
    """

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, file: int | Path) -> Self:
        """Return the identity of an open file, or of the file at a path, links followed."""
        status = os.stat(file)  # noqa: PTH116 - a descriptor has no Path
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def names_descriptor(path: Path) -> bool:
    """Whether a path leads to an open descriptor, such as /dev/fd/3, /dev/stdin, /proc/self/fd/3.

    Such a path names another file, or none, in every other process.
    """
    for _ in range(MAX_LINKS):
        folder = path.parent.resolve()
        if folder == Path("/dev/fd") or (folder.parts[1:2] == ("proc",) and folder.name == "fd"):
            return True
        if not path.is_symlink():
            return False
        path = folder / path.readlink()
    return False
