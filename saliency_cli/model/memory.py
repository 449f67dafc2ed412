"""Settings of glibc's allocator for tensors that live as long as a batch; no effect elsewhere.

By default glibc returns freed memory to the system after each batch and requests it again, one page
fault at a time (up to 8 % of a run, measured). If glibc keeps freed memory instead, the memory
becomes fragmented over many thousand batches, so a long run calls `release_freed_memory`.
"""

import ctypes
import sys

import torch

RELEASE_ROWS = 1024
"""Rows between two releases of freed memory."""


def keep_freed_memory() -> None:
    """Make glibc keep freed memory, by freeing one large block of which no page was used.

    glibc adjusts its thresholds M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, see mallopt(3), to the
    largest block that was freed so far.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


_rows_since_release = 0


def release_freed_memory(*, rows: int) -> None:
    """Return freed memory to the system now and then, so that fragments do not add up.

    After each shard of 125 rows it would take a sixth of the sample model's time, since all of the
    memory is then requested again, one page fault at a time.

    Args:
        rows: Rows that were explained since the last call.
    """
    global _rows_since_release  # noqa: PLW0603 - it is about the memory of the whole process
    _rows_since_release += rows
    if _rows_since_release >= RELEASE_ROWS and sys.platform == "linux":
        _rows_since_release = 0
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def is_device_failure(error: BaseException) -> bool:
    """Whether an error means that the GPU cannot be used any more by this process."""
    return isinstance(error, RuntimeError) and "CUDA error" in str(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out; on a CPU torch raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
