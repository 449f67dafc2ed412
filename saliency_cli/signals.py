"""SIGINT and SIGTERM: each ends what the process is doing once, whatever that is.

The handler raises `Interrupted` there and then. Python drops what a handler raises inside a
destructor or a callback, and a careless `except` may swallow it; so the signal is remembered, an
alarm raises it again outside the destructor, and `check` does so at points that are safe.
"""

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

from saliency_cli.errors import Interrupted

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STOPPING = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.01
"""Seconds from a signal that was dropped to the alarm; a destructor is mostly over by then."""

_caught: list[int] = []


def catch() -> None:
    """Have the first signal raise `Interrupted`, and leave the second to the system."""
    for number in STOPPING:
        signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _remind)
    sys.unraisablehook = _dropped


def release() -> None:
    """Leave every further signal to the system, which ends the process at once."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def check() -> None:
    """Raise the signal that came, if it got lost on its way; cheap enough for every row.

    Raises:
        Interrupted: a signal came.
    """
    if _caught:
        signal.setitimer(signal.ITIMER_REAL, 0)
        raise Interrupted(_caught[0])


def caught() -> Interrupted | None:
    """Return the signal that came, whatever has become of it since."""
    return Interrupted(_caught[0]) if _caught else None


def _interrupt(number: int, _frame: FrameType | None) -> None:
    release()
    _caught.append(number)
    raise Interrupted(number)


def _remind(_number: int, _frame: FrameType | None) -> None:
    check()


def _dropped(lost: "UnraisableHookArgs") -> None:
    """Hear what Python is about to drop; it would show the traceback of any other exception."""
    if isinstance(lost.exc_value, Interrupted):
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
    else:
        sys.__unraisablehook__(lost)
