"""Rolls back a failed start: removes the files that it made, and no file that existed before."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeAlias

from saliency_cli.atomic_files import TEMPORARY_SUFFIX
from saliency_cli.errors import UsageError
from saliency_cli.runs.ownership import ARRIVING, LOCK, MANIFEST, RECORDS, SPOOL, WORK, Ownership
from saliency_cli.runs.run_folder import RunFolder

Identity: TypeAlias = tuple[int, int, int]
_FILES_OF_A_START = (MANIFEST + TEMPORARY_SUFFIX, ARRIVING, SPOOL, LOCK)
"""What a start writes before its plan is complete; the copy of the input is proved by the lock."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was in a run folder before a start.

    Attributes:
        folder: The run folder.
        files: The identity of each file that a start may write, by relative path.
        folders: Which of the run's folders, and of those above it, there were.
    """

    folder: RunFolder
    files: dict[str, Identity | None]
    folders: tuple[Path, ...]

    @classmethod
    def of(cls, folder: RunFolder) -> Self:
        """Return the identities of the files that are in a folder now."""
        names = (MANIFEST, *_FILES_OF_A_START)
        there = tuple(path for path in _folders(folder) if os.path.lexists(path))
        return cls(folder, {name: _identity(folder.path / name) for name in names}, there)

    def restore(self) -> None:
        """Remove the files that the start made, unless its plan is written and can be resumed."""
        manifest = _identity(self.folder.path / MANIFEST)
        if manifest is not None and manifest != self.files[MANIFEST]:
            return
        was_cleared = manifest != self.files[MANIFEST]
        for name in _FILES_OF_A_START:
            path = self.folder.path / name
            if was_cleared or _identity(path) != self.files[name]:
                with suppress(OSError, UsageError):
                    Ownership.of(self.folder.path).check([name])
                    path.unlink()
        for path in _folders(self.folder):
            is_inside = path.parent == self.folder.path
            if path not in self.folders or (was_cleared and is_inside):
                with suppress(OSError):
                    path.rmdir()


def _folders(folder: RunFolder) -> tuple[Path, ...]:
    """Return the folders that a start may make, each before the one that holds it."""
    return folder.path / RECORDS, folder.path / WORK, folder.path, *folder.path.parents


def _identity(path: Path) -> Identity | None:
    """Return what tells a file from another one of its name; None if there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
