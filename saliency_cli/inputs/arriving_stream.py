"""Compare what arrives at a resumed run's standard input with the copy that the run has kept."""

import os
import stat
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import STDIN
from saliency_cli.inputs.byte_streams import FileCursor
from saliency_cli.safe_text import visible

CHUNK_BYTES = 1 << 20


def matches_copy(path: str, copy: FileCursor, *, whole: bool) -> bool:
    """Return whether a stream has the bytes of its copy, or has none at all.

    A terminal is not read, and a FIFO with a name is not opened, since both may wait for ever.

    Args:
        path: The input's path, "-" for standard input.
        copy: The copy, from its start.
        whole: Whether the copy reaches to the end of the stream.

    Raises:
        UsageError: The stream cannot be read.
    """
    with ExitStack() as stack:
        try:
            stream = _open_again(path, stack)
            return stream is None or _same_bytes(stream, copy, whole=whole)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"{visible(path)} cannot be read: {reason}") from None


def _open_again(path: str, stack: ExitStack) -> BinaryIO | None:
    """Return the stream, or None if nothing can arrive without waiting for it."""
    if path == STDIN:
        return None if sys.stdin is None or sys.stdin.buffer.isatty() else sys.stdin.buffer
    if not Path(path).exists() or stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116
        return None
    return stack.enter_context(Path(path).open("rb"))


def _same_bytes(stream: BinaryIO, copy: FileCursor, *, whole: bool) -> bool:
    left = copy.seek(0, os.SEEK_END)
    copy.seek(0)
    arrived = False
    # read1 returns what a pipe has now: a stream that goes on is read no further than its copy.
    while (whole or left > 0) and (data := stream.read1(CHUNK_BYTES)):  # type: ignore[attr-defined]
        kept = copy.read(len(data)) or b""
        if kept != data[: len(kept)] or (whole and len(kept) < len(data)):
            return False
        left -= len(kept)
        arrived = True
    return left == 0 or not arrived
