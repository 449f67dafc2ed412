"""The C library's allocator, told how batches use memory; where it is not glibc, nothing is done.

Tensors of a batch live as long as the batch. glibc by itself hands their memory back to the system
after each and asks for it again a page fault at a time (up to 8 % of a run, measured); told to keep
it, it lets it fall into pieces over many thousand batches.
"""

import ctypes
import sys

import torch


def keep_between_batches() -> None:
    """Have freed memory kept, by freeing one large block that no page was touched of.

    The thresholds of mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, follow the largest seen.
    """
    torch.empty(31 << 20, dtype=torch.uint8)


def release() -> None:
    """Give what is free back to the system, so that pieces do not add up over a long run."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def ran_out(error: Exception) -> bool:
    """Say whether an error means that memory ran out; on a CPU it is a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
