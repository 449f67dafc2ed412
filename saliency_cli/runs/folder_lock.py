"""Locks of a run folder. The system releases them when their process ends, however it ends.

They are POSIX record locks (fcntl(2), `F_SETLK`), which also work between machines over NFS 4. Each
byte of the file `work/lock` is one lock: the first is for the folder, the second for the plan, and
one more for each shard. A run without `--shard` locks the folder exclusively. Runs with `--shard`
share the folder's lock, and lock the plan and single shards. A forked child inherits no lock.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from saliency_cli.atomic_files import output_errors
from saliency_cli.errors import UsageError
from saliency_cli.safe_text import visible

_FOLDER_BYTE, _PLAN_BYTE, _FIRST_SHARD_BYTE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Lock:
    """The open lock file of a run folder.

    A process opens the file only once: closing any descriptor of a file releases all record locks
    that the process has on it.
    """

    path: Path
    descriptor: int

    @contextmanager
    def planning(self) -> Iterator[None]:
        """Lock the plan for the block; waits while another process has it."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, 1, _PLAN_BYTE)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, _PLAN_BYTE)

    @contextmanager
    def shard(self, number: int) -> Iterator[bool]:
        """Try to lock a shard for the block; yield whether it is locked, without waiting."""
        byte = _FIRST_SHARD_BYTE + number
        acquired = self.acquire(fcntl.LOCK_EX, byte)
        try:
            yield acquired
        finally:
            if acquired:
                fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, byte)

    def acquire(self, kind: int, byte: int) -> bool:
        """Try to lock a byte of the file without waiting; return whether it is locked.

        Args:
            kind: `fcntl.LOCK_EX` or `fcntl.LOCK_SH`.
            byte: Offset of the byte in the file.
        """
        try:
            fcntl.lockf(self.descriptor, kind | fcntl.LOCK_NB, 1, byte)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def become_exclusive(self) -> bool:
        """Try to turn a shared lock of the folder into an exclusive one; return whether it is."""
        return self.acquire(fcntl.LOCK_EX, _FOLDER_BYTE)

    def is_current(self) -> bool:
        """Whether `path` still names the open file: a process that finishes a run removes it."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self.descriptor), self.path.lstat())
        return False

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the lock file, and create it if there is none.

        Raises:
            OutputError: If it cannot be created.
        """
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            return cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666))


@contextmanager
def lock_folder(path: Path, *, shared: bool = False) -> Iterator[Lock]:
    """Lock a run folder for the block.

    Args:
        path: The folder's lock file.
        shared: Whether other runs with `--shard` may work in the folder at the same time.

    Yields:
        The open lock file, to lock the plan and shards with.

    Raises:
        UsageError: If another run has locked the folder.
        OutputError: If the lock file cannot be created.
    """
    while True:
        lock = Lock.open(path)
        try:
            if not lock.acquire(fcntl.LOCK_SH if shared else fcntl.LOCK_EX, _FOLDER_BYTE):
                raise UsageError(
                    f"another run is writing into {visible(str(path.parent.parent))}",
                    "wait until it is finished, or use another folder with --out",
                )
            # Between `open` and `acquire` another process may have finished the run and removed
            # the file. A lock on a removed file excludes nobody, so a new one is opened.
            if lock.is_current():
                yield lock
                return
        finally:
            os.close(lock.descriptor)


@contextmanager
def open_shard_locks(path: Path) -> Iterator[Lock]:
    """Open the lock file to lock shards, in a folder that the parent process has locked."""
    lock = Lock.open(path)
    try:
        yield lock
    finally:
        os.close(lock.descriptor)


@contextmanager
def lock_pages(manifest: Path) -> Iterator[None]:
    """Wait until no other process writes the pages of a finished run, and keep others waiting.

    Two processes would remove each other's pages. The manifest itself is locked (flock(2)), since a
    finished run has no lock file. Only a process that holds the lock replaces the manifest, and
    then leaves the block: a lock on a file that was replaced keeps nobody waiting.
    """
    while True:
        with manifest.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(stream.fileno()), manifest.stat()):
                yield
                return
