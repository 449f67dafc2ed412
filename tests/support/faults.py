"""A run to disturb, and what it leaves if nothing does; how it is stopped and gone on with."""

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
from tests.support.warm import Running, Warm, warmed

QUARANTINED, INTERRUPTED, TERMINATED = 4, 130, 143
ROWS, SHARD_ROWS = 520, 40
SHARDS = 13
BAD, LONG = 77, 300
"""A row that is no JSON, and one whose record is longer than all others of its shard."""
OPTIONS = ("--device", "cpu", "--samples", "2", "--shard-rows", str(SHARD_ROWS))
Files = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Desk:
    """A model, texts for several shards, a warm process, and what an undisturbed run left."""

    home: Path
    warm: Warm
    whole: Files

    @property
    def model(self) -> Path:
        """The folder of the model."""
        return self.home / "bert"

    @property
    def texts(self) -> Path:
        """The texts."""
        return self.home / "texts.jsonl"

    def arguments(self, out: Path, *options: object, **positions: Path | str) -> list[str]:
        """Return the command line of the run that all tests here disturb."""
        model, texts = positions.get("model", self.model), positions.get("texts", self.texts)
        command = ["explain", str(model), str(texts), "--out", str(out), *OPTIONS]
        return [*command, *map(str, options)]

    def start(self, out: Path, *options: object, **positions: Path | str) -> Running:
        """Start that run."""
        return self.warm.start(self.arguments(out, *options, **positions))

    def explain(self, out: Path, *options: object, **positions: Path | str) -> Outcome:
        """Run it to its end."""
        outcome = self.start(out, *options, **positions).outcome()
        assert "Traceback" not in outcome.stderr
        return outcome

    def resumed(self, out: Path, **positions: Path | str) -> None:
        """Go on with what is in `out`, and see that it becomes what an undisturbed run leaves."""
        outcome = self.explain(out, "--resume", **positions)
        assert outcome.exit_code == QUARANTINED, outcome.stderr
        same(files(out), self.whole)


def files(folder: Path) -> Files:
    """Read all files of a folder."""
    found = (path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def same(found: Files, expected: Files) -> None:
    """See that two folders hold the same, and say which file is not."""
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


def write_texts(path: Path) -> None:
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
def laid(home: Path) -> Iterator[Desk]:
    """Make the model, the texts and the run that nothing disturbed, by a process of its own."""
    model, said = save_bert(home / "bert"), home / "said"
    said.mkdir()
    write_texts(home / "texts.jsonl")
    with warmed(said, model) as warm:
        plain = Desk(home, warm, {})
        outcome = run(plain.arguments(home / "whole"), OMP_NUM_THREADS="1")
        assert outcome.exit_code == QUARANTINED, outcome.stderr
        yield Desk(home, warm, files(home / "whole"))


def wait_for(there: Callable[[], object], running: Running) -> None:
    """Wait until something is there, while the run goes on."""
    begun = time.monotonic()
    while not there():
        assert not running.ended, running.outcome()
        assert time.monotonic() < begun + 60
        time.sleep(0.001)


def wait_a_while(running: Running, seconds: float) -> None:
    """Wait so long, or until the run has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not running.ended:
        time.sleep(0.001)


def frozen(desk: Desk, out: Path, *, part: int) -> Running:
    """Start a run, and stop it with SIGSTOP while it writes that part."""
    temporary = out / "records" / f"part-{part:05d}.jsonl.tmp"
    running = desk.start(out)
    wait_for(temporary.exists, running)
    running.kill(signal.SIGSTOP)
    return running


def kill_in(desk: Desk, out: Path, *, part: int) -> None:
    running = frozen(desk, out, part=part)
    running.kill()
    assert running.outcome().exit_code == -signal.SIGKILL


def from_pipe(desk: Desk, out: Path, content: bytes, *options: str, ends: bool = True) -> Running:
    """Start a run whose standard input is a pipe that gives `content`, and then ends or stalls."""
    fifo = desk.home / f"fifo-{desk.warm.started}"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDWR)  # so that neither end waits for the other to be opened
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 1 << 20)
    os.write(pipe, content)
    running = desk.warm.start(desk.arguments(out, *options, texts="-"), stdin=fifo)
    wait_for(lambda: Path(f"/proc/{running.pid}/fd/0").resolve() == fifo.resolve(), running)
    if ends:
        os.close(pipe)
    return running
