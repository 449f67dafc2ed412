"""SIGINT and SIGTERM, whatever the process is doing: one line, 130 or 143, never a traceback."""

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
"""What `saliency` runs, and a byte that says that Python itself is up."""


@contextmanager
def started(
    program: str, *arguments: object, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program on a standard input that stays open and gives nothing."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=stdout, stderr=pipe)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stopped(
    process: subprocess.Popen[bytes], number: signal.Signals, *, early: bool = False
) -> None:
    """Send a signal; see that the process ends with its one line and its exit code.

    An early one may come before `main` has begun, while Python does as it always does.
    """
    process.send_signal(number)
    assert process.stderr is not None
    told = process.stderr.read().decode()
    process.wait(timeout=30)
    if early and "in main" not in told and process.returncode == -number:
        return
    assert (process.returncode, told) == (CODES[number], f"error: stopped by {number.name}\n")


MOMENTS = [*(0.3 * n / 24 for n in range(24)), *(0.3 + 2.2 * n / 16 for n in range(16))]


@pytest.mark.slow
def test_a_run_is_stopped_at_any_moment_from_its_first(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311
    for moment in MOMENTS:
        out = tmp_path / str(moment)
        with started(ENTRY, "explain", SAMPLE / "model.pt", "-", "--out", out) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"."
            time.sleep(moment + chance.uniform(0, 0.01))
            stopped(process, chance.choice([*CODES]), early=moment < 0.05)
        assert not out.exists()


def test_a_report_is_stopped_at_any_moment(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [record(n, "free call now") for n in range(3000)])
    for moment in (0.05, 0.15, 0.3, 0.5):
        with started(ENTRY, "report", folder) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"."
            time.sleep(moment)
            assert process.poll() is None
            stopped(process, signal.SIGTERM)
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize("number", CODES)
def test_an_export_to_a_pipe_that_nobody_reads_is_stopped(
    tmp_path: Path, number: signal.Signals
) -> None:
    records = [record(n, "free call now " * 20) for n in range(1000)]
    folder = write_run(tmp_path / "run", records, html_rows=0)
    program = "from saliency_cli.__main__ import main; main()"
    with started(program, "export", folder, "--format", "csv") as process:
        assert process.stdout is not None
        wait_until_full(process.stdout.fileno())
        stopped(process, number)


def wait_until_full(pipe: int) -> None:
    """Wait until a pipe takes no more: what it holds grows no further."""
    held = -1
    while (now := unread(pipe)) == 0 or now != held:
        held = now
        time.sleep(0.1)


def unread(pipe: int) -> int:
    """Return how many bytes a pipe holds."""
    (count,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(count)


SCENE = """
import gc, os, signal, sys, time, weakref
from saliency_cli import signals
import saliency_cli.cli.app
from saliency_cli.__main__ import main

class Dying:
    def __del__(self):
        signal.raise_signal(NUMBER)

class Thing:
    pass

def in_a_destructor():
    Dying()
    time.sleep(20)

def in_the_garbage():
    dying = Dying()
    dying.self = dying
    del dying
    gc.collect()
    sys.stdin.buffer.read1(1)

def in_a_callback():
    thing = Thing()
    kept = weakref.ref(thing, lambda _: signal.raise_signal(NUMBER))
    del thing
    time.sleep(20)

def in_many_destructors():
    Dying()
    signals.signal.signal(NUMBER, signals._interrupt)
    Dying()
    time.sleep(20)

def where_all_is_caught():
    try:
        signal.raise_signal(NUMBER)
    except BaseException:
        pass
    for _ in range(100):
        signals.check()
    os._exit(1)

def where_all_is_caught_and_nobody_looks():
    try:
        signal.raise_signal(NUMBER)
    except BaseException:
        pass
    sys.stdin.buffer.read1(1)

def where_an_error_is_made_of_it():
    try:
        signal.raise_signal(NUMBER)
    except BaseException as error:
        raise RuntimeError("careless") from error

def app():
    signals.unwind()
    NAME()

saliency_cli.cli.app.app = app
main()
"""


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize(
    "scene",
    [
        "in_a_destructor",
        "in_the_garbage",
        "in_a_callback",
        "in_many_destructors",
        "where_all_is_caught",
        "where_all_is_caught_and_nobody_looks",
        "where_an_error_is_made_of_it",
    ],
)
def test_a_signal_that_python_drops_is_not_lost(scene: str, number: signal.Signals) -> None:
    program = SCENE.replace("NAME", scene).replace("NUMBER", f"signal.{number.name}")
    begun = time.monotonic()
    with started(program) as process:
        assert process.stderr is not None
        told = process.stderr.read().decode()
        assert process.wait(timeout=30) == CODES[number]
    assert told == f"error: stopped by {number.name}\n"
    assert time.monotonic() < begun + 10


UNDISTURBED = """
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
    signals.unwind()
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


def test_the_cleaning_up_is_not_disturbed() -> None:
    with started(UNDISTURBED) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"1"
        stopped(process, signal.SIGTERM)
        assert process.stdout.read() == b"23"


CLEANING = """
import os, time
from saliency_cli import signals
import saliency_cli.cli.app
from saliency_cli.__main__ import main

def app():
    signals.unwind()
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
def test_a_second_signal_ends_at_once(first: signal.Signals, second: signal.Signals) -> None:
    with started(CLEANING) as process:
        assert process.stdout is not None
        for step, number in ((b"1", first), (b"2", second)):
            assert process.stdout.read(1) == step
            process.send_signal(number)
        assert process.wait(timeout=5) == -second


def test_an_inspection_that_nobody_reads_is_silent(shell: Shell) -> None:
    program = "from saliency_cli.__main__ import main; main()"
    with started(program, "inspect", shell.model) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141
        process.stdout = None
