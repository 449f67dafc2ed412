"""SIGINT and SIGTERM: each stops the process once, with one line on stderr and an exit code.

Before `raise_from_now_on` there is nothing to clean up, and the handler ends the process itself.
After it, the handler raises `Interrupted`, except during the import of a module: an exception
cannot pass through the C++ code of some libraries.

An exception raised by a handler may get lost. Python discards it inside a destructor, and a broad
`except` may swallow it. So a timer (SIGALRM) checks every `RECHECK_INTERVAL` seconds whether the
exception is still on its way up, and raises it again if not.
"""

import os
import signal
import sys
from contextlib import contextmanager, suppress
from types import FrameType

from saliency_cli.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing `typing` takes longer than everything else in this module
    from collections.abc import Iterator
    from sys import UnraisableHookArgs
    from typing import NoReturn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
RECHECK_INTERVAL = 0.05
"""Seconds between two checks whether the exception got lost."""

_IMPORTING = "<frozen importlib"
# Lists, because handlers append to them; an empty list means "no".
_received: list[int] = []
_raising: list[bool] = []


def install_handlers() -> None:
    """Install the handlers: the first signal stops the process, a second one ends it at once."""
    for number in STOP_SIGNALS:
        signal.signal(number, _handle_stop)
    signal.signal(signal.SIGALRM, _recheck)
    sys.unraisablehook = _handle_unraisable


def raise_from_now_on() -> None:
    """Make the handlers raise `Interrupted` from now on, so that `finally` blocks clean up."""
    _raising.append(True)


@contextmanager
def interrupts_blocked() -> "Iterator[None]":
    """Block SIGINT for this thread while the block runs.

    A process that is started meanwhile inherits that, and never receives SIGINT. A terminal sends
    SIGINT to all processes of a command; the parent process handles it for all.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def restore_default_handlers() -> None:
    """Restore the system's handlers, which end the process at once, and stop the timer."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def received() -> Interrupted | None:
    """Return the signal that was received, if any, even if its exception was lost."""
    return Interrupted(_received[0]) if _received else None


def check() -> None:
    """Raise `Interrupted` if a signal was received. It is cheap enough to be called for every row.

    Raises:
        Interrupted: if a signal was received.
    """
    if _received:
        raise Interrupted(_received[0])


def exit_now(stopped: Interrupted) -> "NoReturn":
    """End the process with the signal's message and exit code, without Python's shutdown.

    The shutdown would flush pipes that nothing reads any more, and unload libraries whose import
    the signal has interrupted.
    """
    restore_default_handlers()
    if not stopped.silent:
        with suppress(OSError):  # the exit code says it, too
            os.write(2, f"error: {stopped}\n".encode())
    os._exit(stopped.exit_code)


def _handle_stop(number: int, frame: FrameType | None) -> None:
    """Handle the first SIGINT or SIGTERM."""
    restore_default_handlers()
    _received.append(number)
    if not _raising:
        exit_now(Interrupted(number))
    signal.setitimer(signal.ITIMER_REAL, RECHECK_INTERVAL, RECHECK_INTERVAL)
    if not _is_importing(frame):
        raise Interrupted(number)


def _recheck(_number: int, frame: FrameType | None) -> None:
    """Raise `Interrupted` again, unless it is being handled or a module is being imported."""
    error = sys.exception()
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    if error is None and not _is_importing(frame):
        check()


def _is_importing(frame: FrameType | None) -> bool:
    """Whether the frame runs inside the import of a module."""
    while frame is not None and not frame.f_code.co_filename.startswith(_IMPORTING):
        frame = frame.f_back
    return frame is not None


def _handle_unraisable(unraisable: "UnraisableHookArgs") -> None:
    """Report an exception that Python discards, but not an `Interrupted` (the timer raises it)."""
    if not isinstance(unraisable.exc_value, Interrupted):
        sys.__unraisablehook__(unraisable)
