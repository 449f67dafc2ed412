"""SIGINT and SIGTERM at any time end the process with one line and exit code 130 or 143."""

import fcntl
import random
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.paths import ROOT, SAMPLE
from tests.support.runs import record, write_run
from tests.support.shell import Shell

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
ENTRY = """
import os
os.write(1, b".")
from saliency_cli.__main__ import main
main()
"""
"""The entry point of `saliency`; the byte that it writes first tells that Python has started."""


@contextmanager
def started(
    program: str, *arguments: object, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program whose standard input stays open and has no data; kill it at the end."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=stdout, stderr=pipe)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stop_and_check(
    process: subprocess.Popen[bytes], number: signal.Signals, *, early: bool = False
) -> None:
    """Send a signal; assert that the process ends with one line and the right exit code.

    Args:
        process: The process.
        number: The signal.
        early: Whether the signal may arrive before `main` has installed its handlers; then Python's
            own reaction is accepted too.
    """
    process.send_signal(number)
    assert process.stderr is not None
    stderr = process.stderr.read().decode()
    process.wait(timeout=30)
    if early and "in main" not in stderr and process.returncode == -number:
        return
    assert (process.returncode, stderr) == (CODES[number], f"error: stopped by {number.name}\n")


MOMENTS = [*(0.3 * n / 24 for n in range(24)), *(0.3 + 2.2 * n / 16 for n in range(16))]
"""Seconds from Python's start to the signal: most of them during the imports, the rest later."""


@pytest.mark.slow
def test_a_run_can_be_stopped_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311
    for moment in MOMENTS:
        out = tmp_path / str(moment)
        with started(ENTRY, "explain", SAMPLE / "model.pt", "-", "--out", out) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"."
            time.sleep(moment + chance.uniform(0, 0.01))
            stop_and_check(process, chance.choice([*CODES]), early=moment < 0.05)
        assert not out.exists()


def test_a_report_can_be_stopped_at_any_moment(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [record(n, "free call now") for n in range(3000)])
    for moment in (0.05, 0.15, 0.3, 0.5):
        with started(ENTRY, "report", folder) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"."
            time.sleep(moment)
            assert process.poll() is None
            stop_and_check(process, signal.SIGTERM)
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("number", CODES)
def test_an_export_to_a_full_pipe_can_be_stopped(tmp_path: Path, number: signal.Signals) -> None:
    records = [record(n, "free call now " * 20) for n in range(1000)]
    folder = write_run(tmp_path / "run", records, html_rows=0)
    program = "from saliency_cli.__main__ import main; main()"
    with started(program, "export", folder, "--format", "csv") as process:
        assert process.stdout is not None
        wait_until_full(process.stdout.fileno())
        stop_and_check(process, number)


def wait_until_full(pipe: int) -> None:
    """Wait until a pipe is full: its content is not empty and no longer grows."""
    previous = -1
    while (current := unread_bytes(pipe)) == 0 or current != previous:
        previous = current
        time.sleep(0.1)


def unread_bytes(pipe: int) -> int:
    """Return the number of bytes in a pipe that were not read yet (FIONREAD, see pipe(7))."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)


SCENARIOS = """
import gc, os, signal, sys, time, weakref
from saliency_cli import signals
import saliency_cli.cli.app
from saliency_cli.__main__ import main

class SignalsInDestructor:
    def __del__(self):
        signal.raise_signal(NUMBER)

class Thing:
    pass

def in_a_destructor():
    SignalsInDestructor()
    time.sleep(20)

def in_the_garbage_collector():
    thing = SignalsInDestructor()
    thing.self = thing
    del thing
    gc.collect()
    sys.stdin.buffer.read1(1)

def in_a_weakref_callback():
    thing = Thing()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(NUMBER))
    del thing
    time.sleep(20)

def in_two_destructors():
    SignalsInDestructor()
    signals.signal.signal(NUMBER, signals._handle_stop)
    SignalsInDestructor()
    time.sleep(20)

def swallowed_before_a_check():
    try:
        signal.raise_signal(NUMBER)
    except BaseException:
        pass
    for _ in range(100):
        signals.check()
    os._exit(1)

def swallowed_without_a_check():
    try:
        signal.raise_signal(NUMBER)
    except BaseException:
        pass
    sys.stdin.buffer.read1(1)

def turned_into_another_error():
    try:
        signal.raise_signal(NUMBER)
    except BaseException as error:
        raise RuntimeError("another error") from error

def app():
    signals.raise_from_now_on()
    NAME()

saliency_cli.cli.app.app = app
main()
"""


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(
    "scenario",
    [
        "in_a_destructor",
        "in_the_garbage_collector",
        "in_a_weakref_callback",
        "in_two_destructors",
        "swallowed_before_a_check",
        "swallowed_without_a_check",
        "turned_into_another_error",
    ],
)
def test_a_signal_is_not_lost_when_its_exception_is(scenario: str, number: signal.Signals) -> None:
    program = SCENARIOS.replace("NAME", scenario).replace("NUMBER", f"signal.{number.name}")
    start = time.monotonic()
    with started(program) as process:
        assert process.stderr is not None
        stderr = process.stderr.read().decode()
        assert process.wait(timeout=30) == CODES[number]
    assert stderr == f"error: stopped by {number.name}\n"
    assert time.monotonic() < start + 10


SLOW_CLEANUP = """
import os, time
from saliency_cli import signals
import saliency_cli.cli.app
from saliency_cli.__main__ import main

def inner():
    try:
        yield
    finally:
        try:
            raise OSError
        except OSError:
            for _ in range(10):
                time.sleep(0.05)
            os.write(1, b"2")

def app():
    signals.raise_from_now_on()
    steps = inner()
    next(steps)
    try:
        os.write(1, b"1")
        time.sleep(20)
    finally:
        for _ in range(10):
            time.sleep(0.05)
        steps.close()
        os.write(1, b"3")

saliency_cli.cli.app.app = app
main()
"""


def test_the_recheck_does_not_interrupt_cleanup() -> None:
    with started(SLOW_CLEANUP) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"1"
        stop_and_check(process, signal.SIGTERM)
        assert process.stdout.read() == b"23"


ENDLESS_CLEANUP = """
import os, time
from saliency_cli import signals
import saliency_cli.cli.app
from saliency_cli.__main__ import main

def app():
    signals.raise_from_now_on()
    try:
        os.write(1, b"1")
        time.sleep(20)
    finally:
        os.write(1, b"2")
        time.sleep(20)

saliency_cli.cli.app.app = app
main()
"""


@pytest.mark.parametrize("first", CODES)
@pytest.mark.parametrize("second", CODES)
def test_a_second_signal_ends_the_process_at_once(
    first: signal.Signals, second: signal.Signals
) -> None:
    with started(ENDLESS_CLEANUP) as process:
        assert process.stdout is not None
        for step, number in ((b"1", first), (b"2", second)):
            assert process.stdout.read(1) == step
            process.send_signal(number)
        assert process.wait(timeout=5) == -second


def test_inspect_is_silent_when_its_pipe_is_closed(shell: Shell) -> None:
    program = "from saliency_cli.__main__ import main; main()"
    with started(program, "inspect", shell.model) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
        process.stdout = None
