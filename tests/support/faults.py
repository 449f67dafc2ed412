"""Support for tests that kill, stop and resume runs.

A `PreparedRun` has a model, texts, and the files of a run that nothing disturbed. Every disturbed
run must end with the same files.
"""

import fcntl
import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.models import WORDS, save_bert
from tests.support.shell import Outcome, run
from tests.support.warm import Running, WarmProcess, start_warm_process

QUARANTINED, INTERRUPTED, TERMINATED = 4, 130, 143
ROWS, SHARD_ROWS = 520, 40
SHARDS = 13
BAD, LONG = 77, 300
"""The row that is not JSON, and the row whose record is longer than all others of its shard."""
OPTIONS = ("--device", "cpu", "--samples", "2", "--shard-rows", str(SHARD_ROWS))
Files = dict[str, bytes]
"""Content of the files of a folder, by relative path."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A model, texts for several shards, and the means to run `saliency explain` on them.

    Attributes:
        home: The folder of the model and the texts.
        warm: The process whose forks run the command line.
        expected_files: The files that an undisturbed run writes.
    """

    home: Path
    warm: WarmProcess
    expected_files: Files

    @property
    def model(self) -> Path:
        """Path of the model folder."""
        return self.home / "bert"

    @property
    def texts(self) -> Path:
        """Path of the texts."""
        return self.home / "texts.jsonl"

    def arguments(self, out: Path, *options: object, **positions: Path | str) -> list[str]:
        """Return the arguments of the command line.

        Args:
            out: The run folder.
            options: Further options of `saliency explain`.
            positions: `model` and `texts`, in place of those of this object.
        """
        model, texts = positions.get("model", self.model), positions.get("texts", self.texts)
        command = ["explain", str(model), str(texts), "--out", str(out), *OPTIONS]
        return [*command, *map(str, options)]

    def start(self, out: Path, *options: object, **positions: Path | str) -> Running:
        """Start the run; the arguments are those of `arguments`."""
        return self.warm.start(self.arguments(out, *options, **positions))

    def explain(self, out: Path, *options: object, **positions: Path | str) -> Outcome:
        """Run to the end; the arguments are those of `arguments`."""
        outcome = self.start(out, *options, **positions).outcome()
        assert "Traceback" not in outcome.stderr
        return outcome

    def check_resume(self, out: Path, **positions: Path | str) -> None:
        """Resume the run in `out`; check that it ends with the files of an undisturbed run."""
        outcome = self.explain(out, "--resume", **positions)
        assert outcome.exit_code == QUARANTINED, outcome.stderr
        assert_same_files(read_files(out), self.expected_files)


def read_files(folder: Path) -> Files:
    """Return the content of all files of a folder."""
    paths = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def assert_same_files(found: Files, expected: Files) -> None:
    """Assert that two folders have the same files; name those that differ."""
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def write_texts(path: Path) -> None:
    """Write `ROWS` rows, of which one is not JSON and one is very long."""
    chance = random.Random(0)  # noqa: S311
    pool = [" ".join(chance.choices(WORDS, k=chance.randint(1, 12))) for _ in range(60)]
    rows: list[object] = [
        {"id": n, "text": chance.choice(pool), "label": chance.choice(("ham", "spam"))}
        for n in range(ROWS)
    ]
    rows[LONG] = {"id": LONG, "text": "free call now " * 10_000}
    lines = [json.dumps(row) for row in rows]
    lines[BAD] = "this is no JSON \x1b]0;x\x07"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def prepare_run(home: Path) -> Iterator[PreparedRun]:
    """Yield the prepared run; its undisturbed run is made by a fresh process, not by a fork."""
    model, output = save_bert(home / "bert"), home / "output"
    output.mkdir()
    write_texts(home / "texts.jsonl")
    with start_warm_process(output, model) as warm:
        without_files = PreparedRun(home, warm, {})
        outcome = run(without_files.arguments(home / "whole"), OMP_NUM_THREADS="1")
        assert outcome.exit_code == QUARANTINED, outcome.stderr
        yield PreparedRun(home, warm, read_files(home / "whole"))


def wait_for(condition: Callable[[], object], running: Running) -> None:
    """Wait until a condition holds; fail if the run ends before, or after 60 seconds."""
    started = time.monotonic()
    while not condition():
        assert not running.ended, running.outcome()
        assert time.monotonic() < started + 60
        time.sleep(0.001)


def wait_seconds(running: Running, seconds: float) -> None:
    """Wait for some seconds, or until the run has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not running.ended:
        time.sleep(0.001)


def start_and_pause(prepared: PreparedRun, out: Path, *, part: int) -> Running:
    """Start a run, and pause it with SIGSTOP while it writes records part number `part`."""
    temporary = out / "records" / f"part-{part:05d}.jsonl.tmp"
    running = prepared.start(out)
    wait_for(temporary.exists, running)
    running.kill(signal.SIGSTOP)
    return running


def kill_while_writing(prepared: PreparedRun, out: Path, *, part: int) -> None:
    """Start a run, and kill it while it writes records part number `part`."""
    running = start_and_pause(prepared, out, part=part)
    running.kill()
    assert running.outcome().exit_code == -signal.SIGKILL


def start_from_pipe(
    prepared: PreparedRun, out: Path, content: bytes, *options: str, ends: bool = True
) -> Running:
    """Start a run that reads its texts from a pipe.

    Args:
        prepared: The model and the process to run in.
        out: The run folder.
        content: The bytes that the pipe delivers.
        options: Further options of `saliency explain`.
        ends: Whether the pipe is closed after the content; otherwise it stays open without data.
    """
    fifo = prepared.home / f"fifo-{prepared.warm.started}"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR)  # opening for both directions does not block, see fifo(7)
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
    os.write(pipe, content)
    running = prepared.warm.start(prepared.arguments(out, *options, texts="-"), stdin=fifo)
    wait_for(lambda: Path(f"/proc/{running.pid}/fd/0").resolve() == fifo.resolve(), running)
    if ends:
        os.close(pipe)
    return running
