"""Standard streams that are closed, or that cannot be written, when the process starts."""

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` takes longer than everything else here
    from typing import Any


class _LossyFile(io.FileIO):
    """A file that drops what cannot be written, as for a full disk or a reader that is gone."""

    def write(self, data: "Any") -> int:  # noqa: ANN401 - any buffer, as io has it
        """Write bytes, or drop them; return how many were taken."""
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


def prepare_streams() -> None:
    """Open /dev/null in place of closed standard streams; let standard error drop what fails.

    The system gives a new file the lowest free number. With a closed standard stream that would be
    0, 1 or 2, and what a library or a signal handler prints would be written into a file of the
    run. No message is worth another exit code than that of the command.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - C function
    encoding = "utf-8" if sys.stderr is None else sys.stderr.encoding
    raw: Any = _LossyFile(2, "w", closefd=False)
    binary = io.BufferedWriter(raw)
    sys.stderr = io.TextIOWrapper(binary, encoding, "backslashreplace", line_buffering=True)
