"""Processes that others have started, as Linux tells of them."""

from pathlib import Path


def children_of(pid: int, named: bytes) -> list[int]:
    """Return the children of a process, oldest first, whose command line holds a name."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = " ".join(path.read_text() for path in tasks).split()
    return [int(child) for child in children if named in command(int(child))]


def command(pid: int) -> bytes:
    """Return the command line of a process, or nothing if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
