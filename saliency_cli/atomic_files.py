"""Files that appear under their name only once they are complete and synced to the disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, AnyStr

from saliency_cli.errors import OutputError
from saliency_cli.safe_text import visible

TEMPORARY_SUFFIX = ".tmp"
"""Suffix of a file that is still being written."""


def open_atomic(path: Path) -> AbstractContextManager[IO[str]]:
    """Open a text file for writing, and give it its name when the block ends without an exception.

    The content is written to a temporary file next to `path`, synced to the disk and renamed. If
    the block raises, the temporary file is removed and `path` does not change.

    Raises:
        OutputError: If the file cannot be written.
    """
    return _open_atomic(path, lambda file: file.open("x", encoding="utf-8", newline="\n"))


def open_atomic_bytes(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a binary file for writing in the same way as `open_atomic`.

    Raises:
        OutputError: If the file cannot be written.
    """
    return _open_atomic(path, lambda file: file.open("xb"))


@contextmanager
def _open_atomic(path: Path, open_new: Callable[[Path], IO[AnyStr]]) -> Iterator[IO[AnyStr]]:
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with ExitStack() as stack:
        stack.callback(_ignore_os_error, temporary.unlink)
        with output_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)  # of a process that died while it was writing
            stream = open_new(temporary)  # mode "x": never writes through a planted symbolic link
        stack.callback(_ignore_os_error, stream.close)
        yield stream
        with output_errors(path):
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            temporary.replace(path)
            _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Sync a folder's entries to the disk, so that a rename survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ignore_os_error(cleanup: Callable[[], object]) -> None:
    """Call `cleanup`, and ignore an OSError: there may be nothing to clean up."""
    with suppress(OSError):
        cleanup()


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Convert an OSError of the block into an OutputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{visible(str(path))} cannot be written: {error.strerror}") from error
