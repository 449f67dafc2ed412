"""SIGINT and SIGTERM: each ends what the process is doing once, whatever that is.

The handler raises `Interrupted` there and then. Python drops what a handler raises inside a
destructor or a callback, and some libraries' `except` swallow it while they are imported. So an
alarm looks again and again whether the process is on its way out, and raises it anew if not.
"""

import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

from saliency_cli.errors import Interrupted

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

STOPPING = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.05
"""Seconds between two looks."""

_caught: list[int] = []


def catch() -> None:
    """Have the first signal raise `Interrupted`, and leave the second to the system."""
    for number in STOPPING:
        signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _look)
    sys.unraisablehook = _dropped


def release() -> None:
    """Leave every further signal to the system, which ends the process at once."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def caught() -> Interrupted | None:
    """Return the signal that came, whatever has become of it since."""
    return Interrupted(_caught[0]) if _caught else None


def check() -> None:
    """Raise the signal that came, if it was lost on its way; cheap enough for every row.

    Raises:
        Interrupted: a signal came.
    """
    if _caught:
        raise Interrupted(_caught[0])


def _interrupt(number: int, _frame: FrameType | None) -> None:
    release()
    _caught.append(number)
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    raise Interrupted(number)


def _look(_number: int, _frame: FrameType | None) -> None:
    """Raise the signal anew, unless what runs here is the cleaning up after it."""
    error = sys.exception()
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    if error is None:
        check()


def _dropped(lost: "UnraisableHookArgs") -> None:
    """Keep quiet of a signal that Python drops; of anything else, say what it always says."""
    if not isinstance(lost.exc_value, Interrupted):
        sys.__unraisablehook__(lost)
