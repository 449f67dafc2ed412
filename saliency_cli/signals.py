"""SIGINT and SIGTERM: each ends what the process is doing once, whatever that is.

As long as there is nothing to clean up, the handler ends the process. Then it raises `Interrupted`,
but not while a module is imported: through some libraries' C++ no exception finds its way. Python
drops what is raised inside a destructor, and a careless `except` may swallow it. So an alarm looks
again and again whether the process is on its way out, and raises the signal if not.
"""

import os
import signal
import sys
from types import FrameType

from saliency_cli.errors import Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:  # the module `typing` takes longer to import than all that stands here
    from sys import UnraisableHookArgs
    from typing import NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.05
"""Seconds between two looks."""

_IMPORTING = "<frozen importlib"
_caught: list[int] = []
_unwinding: list[bool] = []


def catch() -> None:
    """Have the first signal end the process with its line, and leave the second to the system."""
    for number in STOPPING:
        signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _look)
    sys.unraisablehook = _dropped


def unwind() -> None:
    """From here on there is something to clean up: a signal raises `Interrupted`."""
    _unwinding.append(True)


def block_interrupts(*, block: bool = True) -> None:
    """Hold SIGINT back from this thread, and from any process that it starts meanwhile for good.

    A terminal sends it to all processes at once; the one that started the others answers for them.
    """
    how = signal.SIG_BLOCK if block else signal.SIG_UNBLOCK
    signal.pthread_sigmask(how, [signal.SIGINT])


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


def leave(stopped: Interrupted) -> "NoReturn":
    """End without Python's last steps, which flush to pipes that nobody may read.

    They would also tear down libraries that the signal found half imported.
    """
    release()
    if not stopped.silent:
        os.write(2, f"error: {stopped}\n".encode())
    os._exit(stopped.exit_code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    release()
    _caught.append(number)
    if not _unwinding:
        leave(Interrupted(number))
    signal.setitimer(signal.ITIMER_REAL, AGAIN, AGAIN)
    if not _importing(frame):
        raise Interrupted(number)


def _look(_number: int, frame: FrameType | None) -> None:
    """Raise the signal, unless what runs here is an import, or the cleaning up after it."""
    error = sys.exception()
    while error is not None and not isinstance(error, Interrupted):
        error = error.__context__
    if error is None and not _importing(frame):
        check()


def _importing(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith(_IMPORTING):
        frame = frame.f_back
    return frame is not None


def _dropped(lost: "UnraisableHookArgs") -> None:
    """Keep quiet of a signal that Python drops; of anything else, say what it always says."""
    if not isinstance(lost.exc_value, Interrupted):
        sys.__unraisablehook__(lost)
