"""Files that take their name only when they were written whole, and are on the disk."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, AnyStr

from saliency_cli.errors import OutputError
from saliency_cli.safe_text import visible

PARTIAL = ".tmp"


def committed(path: Path) -> AbstractContextManager[IO[str]]:
    """Open a text file that takes its name only when it was written whole, and is on the disk.

    Raises:
        OutputError: it cannot be written.
    """
    return _committed(path, lambda file: file.open("x", encoding="utf-8", newline="\n"))


def committed_bytes(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a binary file that takes its name only when it was written whole, and is on the disk.

    Raises:
        OutputError: it cannot be written.
    """
    return _committed(path, lambda file: file.open("xb"))


@contextmanager
def _committed(path: Path, opened: Callable[[Path], IO[AnyStr]]) -> Iterator[IO[AnyStr]]:
    temporary = path.with_name(path.name + PARTIAL)
    with ExitStack() as stack:
        stack.callback(_abandon, temporary.unlink)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)  # of a run that died
            stream = opened(temporary)  # made anew ("x"): never through a link that someone planted
        stack.callback(_abandon, stream.close)
        yield stream
        with writing(path):
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
            temporary.replace(path)
            _sync(path.parent)


def _sync(folder: Path) -> None:
    """See to it that the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _abandon(step: Callable[[], object]) -> None:
    """Clean up after what failed, or find it clean: that a step cannot be done is no news."""
    with suppress(OSError):
        step()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says of a failed write into an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{visible(str(path))} cannot be written: {error.strerror}") from error
