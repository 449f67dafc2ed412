"""Everything that can go wrong, as one tree; each branch knows its exit code.

SaliencyError
├── UsageError        2   a path, an option or an input that cannot be used as asked
├── CheckpointError   3   the checkpoint or the tokenizer is refused or does not fit
└── OutputError      74   what was computed could not be written (EX_IOERR of sysexits.h)

Beside it stands Interrupted: 130 for SIGINT, 143 for SIGTERM, and 141 where whoever read standard
output went away (SIGPIPE). `boundary` turns errors into messages, and `__main__` what interrupts
them; a traceback is for whoever asks for it with --debug.
"""

import signal


class SaliencyError(Exception):
    """A failure with a message for the person at the shell and, where there is one, a way out."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SaliencyError):
    """A path, an option or an input that cannot be used as asked."""

    exit_code = 2


class CheckpointError(SaliencyError):
    """The checkpoint or the tokenizer is refused, or the two do not fit together."""

    exit_code = 3


class OutputError(SaliencyError):
    """What was computed could not be written."""

    exit_code = 74


class Interrupted(BaseException):
    """A signal asked the run to stop; no `except Exception` on the way up may swallow it.

    The exit code is the shell's own: 128 plus the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number
        self.silent = number == signal.SIGPIPE
        """Whoever ended the reader of a pipe, as `head` does, knows; it is no news."""
