"""Information about other processes, read from Linux's /proc (see proc(5))."""

from contextlib import suppress
from pathlib import Path


def children_of(pid: int, name: bytes = b"") -> list[int]:
    """Return the child processes, oldest first, whose command line contains `name`.

    Args:
        pid: The ID of the parent process.
        name: A part of the command line.
    """
    children: list[str] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended since the folder was listed
            children += path.read_text().split()
    return [int(child) for child in children if name in command_line(int(child))]


def command_line(pid: int) -> bytes:
    """Return the command line of a process; empty if the process has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
