"""Tells a file of holes, which reads as zeros without end, by its stored bytes."""

import os

_BYTES, _RATIO = 2**26, 1000
"""Size from which a file may be sparse, and how many times as large as its stored bytes it is."""


def is_sparse(status: os.stat_result) -> bool:
    """Whether the disk holds almost nothing of a large file."""
    # A file system that compresses stores fewer bytes, too, but not a thousandth of them.
    return status.st_size > _BYTES and status.st_blocks * 512 * _RATIO < status.st_size
