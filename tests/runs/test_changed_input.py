"""The input cannot change under a run: the run ends, and its committed shards stay."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faults import (
    QUARANTINED,
    PreparedRun,
    assert_same_files,
    read_files,
    wait_for,
)
from tests.support.paths import ROOT
from tests.support.shell import USAGE
from tests.support.warm import Running

pytestmark = pytest.mark.slow
CHANGED = "texts.jsonl has changed since its rows were counted"


@pytest.fixture
def texts(prepared: PreparedRun, tmp_path: Path) -> Path:
    return Path(shutil.copy(prepared.texts, tmp_path))


def exchange_words(texts: Path) -> None:
    """Change rows of a file in place, but not its size."""
    with texts.open("r+b") as stream:
        content = stream.read().replace(b'"ham"', b'"HAM"')
        stream.seek(0)
        stream.write(content)


def exchange_words_unseen(texts: Path) -> None:
    """Change rows of a file in place, but neither its size nor its time."""
    before = texts.stat()
    exchange_words(texts)
    os.utime(texts, ns=(before.st_atime_ns, before.st_mtime_ns))


def exchange_file(texts: Path) -> None:
    """Put a changed copy of a file, with the same size and time, into its place."""
    copy = Path(shutil.copy2(texts, texts.with_name("copy")))
    exchange_words_unseen(copy)
    copy.replace(texts)


def change_while_paused(running: Running, out: Path, change: Callable[[], None]) -> None:
    """Change the input while the run writes its third part of the records."""
    wait_for((out / "records" / "part-00002.jsonl.tmp").exists, running)
    running.kill(signal.SIGSTOP)
    change()
    running.kill(signal.SIGCONT)


@pytest.mark.parametrize("change", [exchange_words, exchange_words_unseen])
def test_an_input_written_in_place_ends_the_run_and_committed_shards_stay(
    prepared: PreparedRun, texts: Path, out: Path, change: Callable[[Path], None]
) -> None:
    running = prepared.start(out, texts=texts)
    change_while_paused(running, out, lambda: change(texts))
    outcome = running.outcome()
    assert outcome.exit_code == USAGE, outcome.stderr
    assert CHANGED in outcome.refusal()
    parts = {path.name for path in (out / "records").iterdir()}
    assert {"part-00000.jsonl", "part-00001.jsonl"} <= parts
    assert ("part-00002.jsonl" in parts) == (change is exchange_words_unseen)
    again = prepared.explain(out, "--resume", texts=texts)
    assert again.exit_code == USAGE
    assert "texts.jsonl is another input" in again.refusal()
    shutil.copy(prepared.texts, texts)
    prepared.check_resume(out, texts=texts)


def test_workers_do_not_read_a_file_that_replaced_the_planned_one(
    prepared: PreparedRun, texts: Path, out: Path
) -> None:
    running = prepared.start(out, "--workers", "2", texts=texts)
    wait_for((out / "manifest.json").exists, running)
    exchange_file(texts)
    outcome = running.outcome()
    assert outcome.exit_code == USAGE, outcome.stderr
    assert "texts.jsonl is another input than the one the run started with" in outcome.refusal()
    assert not [*(out / "records").glob("*.jsonl")]


def test_workers_end_the_run_if_the_input_is_written_in_place(
    prepared: PreparedRun, texts: Path, out: Path
) -> None:
    running = prepared.start(out, "--workers", "2", texts=texts)
    wait_for((out / "work" / "00000.json").exists, running)
    exchange_words(texts)
    outcome = running.outcome()
    assert outcome.exit_code == USAGE, outcome.stderr
    assert CHANGED in outcome.refusal()
    assert (out / "records" / "part-00000.jsonl").exists()


def test_workers_explain_a_file_that_is_named_by_a_descriptor(
    prepared: PreparedRun, out: Path
) -> None:
    with prepared.texts.open("rb") as stream:
        number = fcntl.fcntl(stream.fileno(), fcntl.F_DUPFD, 60)  # workers have no such descriptor
    options = ("--workers", "2", "--input-format", "jsonl")
    command = prepared.arguments(out, *options, texts=f"/dev/fd/{number}")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "saliency_cli", *command],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    finally:
        os.close(number)
    assert done.returncode == QUARANTINED, done.stderr
    found, expected = (
        {name: data for name, data in files.items() if name.startswith("records/")}
        for files in (read_files(out), prepared.expected_files)
    )
    assert_same_files(found, expected)
