"""Who writes into a run's folder: locks that die with their process, on one machine or on several.

They are POSIX record locks, a byte of one file for each thing that is locked: the folder, the plan,
every shard. A whole run has the folder to itself; runs with `--shard` share it, and lock what they
are at. A child that is forked holds none of them.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from saliency_cli.atomic_files import writing
from saliency_cli.errors import UsageError
from saliency_cli.safe_text import visible

_FOLDER, _PLAN, _SHARDS = 0, 1, 2
"""Bytes of the file: the first two, and from the third on one for each shard."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The open lock file; closing any other descriptor of it would give all its locks back."""

    path: Path
    descriptor: int

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Wait until nobody else plans, and keep others waiting."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, 1, _PLAN)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, _PLAN)

    @contextmanager
    def shard(self, number: int) -> Iterator[bool]:
        """Say whether the shard could be had; if so, nobody else has it meanwhile."""
        had = self.had(fcntl.LOCK_EX, _SHARDS + number)
        try:
            yield had
        finally:
            if had:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, _SHARDS + number)

    def had(self, kind: int, byte: int) -> bool:
        """Lock a byte, or say that somebody else has it."""
        try:
            fcntl.lockf(self.descriptor, kind | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def current(self) -> bool:
        """Say whether the file still has its name: who finishes a run removes it."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self.descriptor), self.path.lstat())
        return False

    @classmethod
    def opened(cls, path: Path) -> Self:
        """Open the lock file, or make it."""
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666))


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[Lock]:
    """Lock the folder that `path` lies in: for this run alone, or for runs of single shards.

    Raises:
        UsageError: another run has it.
        OutputError: the lock cannot be written.
    """
    while True:
        lock = Lock.opened(path)
        try:
            if not lock.had(fcntl.LOCK_SH if shared else fcntl.LOCK_EX, _FOLDER):
                raise UsageError(
                    f"another run is writing into {visible(str(path.parent.parent))}",
                    "wait until it is done, or name another folder with --out",
                )
            if lock.current():
                yield lock
                return
        finally:
            os.close(lock.descriptor)


@contextmanager
def sharing(path: Path) -> Iterator[Lock]:
    """Open the locks of a folder that another process has locked for this one to work in."""
    lock = Lock.opened(path)
    try:
        yield lock
    finally:
        os.close(lock.descriptor)
