"""Which files are opened, by Python or by a library in C or Rust: inotify(7) reports both."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_OPEN, _IN_ISDIR = 0x20, 0x40000000
_EVENT = struct.Struct("iIII")
_BUFFER_BYTES = 1 << 20


@contextmanager
def opened_files(home: Path) -> Iterator[set[Path]]:
    """Yield a set that holds, when the block has ended, each file below a folder that was opened.

    Folders that are made in the block are not watched.

    Args:
        home: The folder.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    assert descriptor >= 0, os.strerror(ctypes.get_errno())
    folders = {}
    for folder in (home, *(path for path in home.rglob("*") if path.is_dir())):
        folders[libc.inotify_add_watch(descriptor, os.fsencode(folder), _IN_OPEN)] = folder
    assert -1 not in folders, os.strerror(ctypes.get_errno())
    opened: set[Path] = set()
    try:
        yield opened
        opened.update(_read_events(descriptor, folders))
    finally:
        os.close(descriptor)


def _read_events(descriptor: int, folders: dict[int, Path]) -> Iterator[Path]:
    while True:
        try:
            events = os.read(descriptor, _BUFFER_BYTES)
        except BlockingIOError:  # no more events
            return
        while events:
            watch, mask, _, length = _EVENT.unpack_from(events)
            assert watch in folders, "too many events for the kernel's queue"
            name = events[_EVENT.size : _EVENT.size + length].rstrip(b"\0")
            events = events[_EVENT.size + length :]
            if name and not mask & _IN_ISDIR:
                yield folders[watch] / os.fsdecode(name)
