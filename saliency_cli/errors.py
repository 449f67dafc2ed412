"""The exceptions of this package, each with the exit code of the process.

SaliencyError
├── UsageError        2   a path, an option or an input that cannot be used as requested
├── CheckpointError   3   the checkpoint or the tokenizer is refused, or they do not fit together
├── InternalError    70   an error of the tool itself (EX_SOFTWARE of sysexits.h)
└── OutputError      74   a result cannot be written (EX_IOERR of sysexits.h)

Exit code 1 is none of these: it means that a gate of `--fail-on` failed.

Interrupted is not part of the tree. Its exit codes are 130 (SIGINT), 143 (SIGTERM) and 141
(SIGPIPE: the reader of standard output has closed it). `cli/error_boundary` prints an error as one
line and a hint, `__main__` handles Interrupted. The traceback is shown only with --debug.
"""

import errno
import signal


class SaliencyError(Exception):
    """Base class of the errors that are reported to the user.

    Attributes:
        message: One line that says what is wrong.
        hint: What the user can type or do next, or None.
        exit_code: Exit code of the process.
    """

    exit_code = 70

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SaliencyError):
    """A path, an option or an input that cannot be used as requested."""

    exit_code = 2


class CheckpointError(SaliencyError):
    """The checkpoint or the tokenizer is refused, or the two do not fit together."""

    exit_code = 3


class InternalError(SaliencyError):
    """An exception that no part of the tool expects: an error of the tool itself."""

    exit_code = 70

    @classmethod
    def of(cls, what: str) -> "InternalError":
        """Return the error for an exception: its type and message, as `error_text` has them."""
        return cls(f"internal error: {what}", "add --debug for the traceback, and report it")


class OutputError(SaliencyError):
    """A result cannot be written."""

    exit_code = 74


_OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO}
"""What the system answers to a write that fails for want of space or by a defect of the disk."""


def system_error(error: OSError) -> SaliencyError:
    """Return the error for an exception of the system that no caller has expected.

    Failures that a caller expects, such as a missing file, are SaliencyErrors already. Most others
    are paths that the system refuses, for example because they are too long.
    """
    path = "" if error.filename is None else f"{error.filename}: "
    kind = OutputError if error.errno in _OUTPUT_ERRORS else UsageError
    return kind(f"{path}{error.strerror or error}")


class Interrupted(BaseException):
    """A signal asked the process to stop.

    It is a BaseException so that no `except Exception` catches it.

    Attributes:
        exit_code: 128 plus the signal's number, as in a shell.
        silent: Whether no message is printed. This is so for SIGPIPE: the user has ended the reader
            of the pipe, for example with `head`.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number
        self.silent = number == signal.SIGPIPE
