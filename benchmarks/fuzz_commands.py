"""Runs command lines drawn at random, and reports those that break a promise of the command line.

Each run is a fork of a process that has imported everything; its working directory is a new folder.
It runs `saliency_cli.__main__.main`, so the error boundary is part of it. `--workers` is 1 at most,
and Ray is left out: a worker imports torch anew, which takes a hundred times as long as such a run.
The file is no benchmark: it exits with 1 if a promise was broken. Seed and number determine a run:

    python benchmarks/fuzz_commands.py --seed 1 --runs 10000 --part 1/2
    python benchmarks/fuzz_commands.py --seed 1 --only 4711
"""

import argparse
import gc
import os
import random
import resource
import select
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import saliency_cli.__main__
from saliency_cli.cli.app import app
from tests.support.fuzz_arguments import COMMANDS, OUT, CommandLine, draw_command_line
from tests.support.fuzz_checks import Ended, problems
from tests.support.fuzz_folders import State, make_state
from tests.support.fuzz_materials import write_materials
from tests.support.runs import varied, write_run
from tests.support.trees import Tree, changed, tree


@dataclass(frozen=True, slots=True)
class Bench:
    """The folder of all runs.

    Attributes:
        home: The folder; `m` in it holds the materials, `w` is the working directory.
        bases: Run folders to begin with, by name.
    """

    home: Path
    bases: dict[str, Path]

    @property
    def work(self) -> Path:
        """The working directory of a run."""
        return self.home / "w"


def prepare(home: Path) -> Bench:
    """Write the materials and the run folders to begin with, and import what the runs need.

    Args:
        home: An empty folder.
    """
    bench = Bench(home / "bench", {})
    bench.home.mkdir()
    write_materials(home / "materials")
    _copy_materials(bench)
    bench.work.mkdir()
    os.chdir(bench.work)
    usual = ["../m/bert", "../m/good.jsonl", "--device", "cpu", "--samples", "2", "--out"]
    unfinished = [str(home / "unfinished"), "--shard-rows", "2", "--shard", "1/2"]
    _call(["explain", *usual, str(home / "finished")])
    _call(["explain", *usual, *unfinished])
    _call(["report", str(home / "finished")])
    _call(["inspect", "../m/bert", "--nope"])  # Typer imports more for an error
    _call(["inspect", "../m/multi", "--json"])
    _call(["export", str(home / "finished"), "--format", "parquet", "--output", str(home / "x")])
    write_run(home / "varied", varied())
    bench.bases.update({name: home / name for name in ("finished", "unfinished", "varied")})
    return bench


def _copy_materials(bench: Bench) -> None:
    shutil.rmtree(bench.home / "m", ignore_errors=True)
    shutil.copytree(bench.home.parent / "materials", bench.home / "m", symlinks=True)


def _call(arguments: list[str]) -> None:
    """Run a command in this process, which must succeed."""
    with suppress(SystemExit):
        app([*arguments, *([] if arguments[0] == "inspect" else ["--quiet"])])


def make_work(bench: Bench, command: str, rng: random.Random) -> State:
    """Write the working directory of a run anew, and return the state of its run folder."""
    shutil.rmtree(bench.work)
    work = bench.work
    (work / "kept").mkdir(parents=True)
    (work / "kept" / "a.txt").write_bytes(b"mine")
    (work / "kept.csv").write_bytes(b"mine")
    (work / "hard.csv").hardlink_to(work / "kept.csv")
    (work / "link.csv").symlink_to("kept.csv")
    (work / "dangling.csv").symlink_to("nowhere.csv")
    (work / "link").symlink_to("kept")
    shutil.copy(bench.home / "m" / "good.jsonl", work / "copy.jsonl")
    return make_state(work / OUT, command, bench.bases, rng)


def run(line: CommandLine, bench: Bench, *, limit: float, file_size: int | None) -> Ended:
    """Run a command line in a fork.

    Args:
        line: The command line.
        bench: The folder of all runs.
        limit: Seconds after which it is killed.
        file_size: The largest file that it may write, or None.
    """
    streams = [bench.home.parent / name for name in ("stdout", "stderr")]
    source = os.devnull if line.stdin is None else str(bench.home / "m" / line.stdin)
    child = os.fork()
    if child == 0:
        _become(line, source, streams, work=bench.work, file_size=file_size)
    code = _wait(child, limit)
    return Ended(code, *(path.read_bytes() for path in streams))


def _become(
    line: CommandLine, source: str, streams: list[Path], *, work: Path, file_size: int | None
) -> None:
    """Run the command line in this process, and end it."""
    code = 255
    try:
        os.chdir(work)
        os.dup2(os.open(source, os.O_RDONLY), 0)
        for number, path in enumerate(streams, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        if file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
        sys.stdin = open(0, closefd=False, encoding="utf-8")  # noqa: SIM115
        sys.argv = ["saliency", *line.arguments]
        saliency_cli.__main__.main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 255)


def _wait(child: int, limit: float) -> int:
    """Wait for a process, and kill it after a time; return its code, negative for a signal."""
    handle = os.pidfd_open(child)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if not poll.poll(limit * 1000):
        os.kill(child, signal.SIGKILL)
    os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def snapshot(bench: Bench) -> Tree:
    """Return everything that a run may reach; the materials without their content, which is much.

    Nothing writes into a file without changing the time that is compared in place of the content.
    """
    materials = tree(bench.home / "m", content=False)
    work = tree(bench.work)
    return {f"m/{name}": state for name, state in materials.items()} | {
        f"w/{name}": state for name, state in work.items()
    }


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of the fuzzer: what was drawn, how it ended, and which promises it broke."""

    number: int
    line: CommandLine
    state: State
    file_size: int | None
    ended: Ended
    found: list[str]

    @property
    def command(self) -> str:
        """The name of the command, or "other" where the command line has none."""
        name = self.line.arguments[0]
        return name if name in COMMANDS else "other"

    def show(self) -> None:
        """Print everything that is known of the run."""
        words = (each if len(each) < 400 else f"{each[:40]}…" for each in self.line.arguments)
        print(f"run {self.number}: {shlex.join(words)!a}")
        print(f"  {self.state.words}; stdin: {self.line.stdin}; file size: {self.file_size}")
        for each in self.found:
            print(f"  {each!a:.1500}")
        message = self.ended.stderr.decode(errors="replace")
        print(f"  {self.ended.code}: {message!a:.900}", flush=True)


def attempt(bench: Bench, number: int, *, seed: int, limit: float) -> Attempt:
    """Draw a run, and return it with its end.

    Args:
        bench: The folder of all runs.
        number: The number of the run.
        seed: The seed of all runs.
        limit: Seconds after which it is killed.
    """
    rng = random.Random(f"{seed}:{number}")  # noqa: S311
    line = draw_command_line(rng)
    state = make_work(bench, line.arguments[0], rng)
    file_size = rng.choice([5000, 20_000]) if rng.random() < 0.03 else None
    before = snapshot(bench)
    ended = run(line, bench, limit=limit, file_size=file_size)
    differing = changed(before, snapshot(bench))
    if any(path.startswith("m/") for path in differing):  # an export may be told to replace them
        _copy_materials(bench)
    found = [*problems(line, ended, state, differing)]
    return Attempt(number, line, state, file_size, ended, found)


def fuzz(bench: Bench, numbers: range, *, seed: int, limit: float) -> int:
    """Run some command lines, print those that break a promise, and return how many do.

    Args:
        bench: The folder of all runs.
        numbers: Numbers of the runs.
        seed: The seed of all of them.
        limit: Seconds that a run may take.
    """
    codes: Counter[tuple[str, int]] = Counter()
    failed, start = 0, time.monotonic()
    for done, number in enumerate(numbers, 1):
        made = attempt(bench, number, seed=seed, limit=limit)
        codes[made.command, made.ended.code] += 1
        failed += bool(made.found)
        if made.found or len(numbers) == 1:
            made.show()
        if done % 250 == 0 or done == len(numbers):
            print(f"{done} runs in {time.monotonic() - start:.0f} s, {failed} failed", flush=True)
    for (name, code), count in sorted(codes.items()):
        print(f"  {name:8} exit code {code:4}: {count}")
    return failed


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--part", default="1/1", help="I/N: every N-th run, from the I-th on")
    parser.add_argument("--only", type=int, help="this run alone; its folder is kept")
    parser.add_argument("--limit", type=float, default=60, help="seconds that a run may take")
    return parser.parse_args()


def main() -> int:
    """Run as the options say, and return 1 if a promise was broken."""
    given = _parse()
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    home = Path(tempfile.mkdtemp(prefix="fuzz-"))
    bench = prepare(home)
    gc.freeze()
    index, count = map(int, given.part.split("/"))
    numbers = range(index - 1, given.runs, count)
    if given.only is not None:
        numbers = range(given.only, given.only + 1)
    failed = fuzz(bench, numbers, seed=given.seed, limit=given.limit)
    if given.only is None:
        shutil.rmtree(home)
    else:
        print(f"kept: {home}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
