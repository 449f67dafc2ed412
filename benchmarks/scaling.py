"""Rows a second of `saliency explain` by workers, here or on Ray, against a run of one process.

Each run is a process of its own. What it takes to start and to write the pages is told apart: the
rate is that between the first shard that is committed and the last. See README.md beside this file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from time import perf_counter

from reporting import SAMPLE, add_json_option, aligned, emit, say

EVEN = {"RAY_worker_niceness": "0"}
"""Ray has its workers give way to all else on the machine, which a local run does not."""
HEADER = ("run", "rows/s", "ratio", "least", "most", "start and end, s")


@dataclass(frozen=True, slots=True)
class Setup:
    """Who explains: one process with so many threads, or workers with so many each."""

    engine: str
    threads: int
    workers: int | None = None

    @property
    def name(self) -> str:
        """What it is called in the table."""
        who = self.engine if self.workers is None else f"{self.engine}, workers: {self.workers}"
        return f"{who}, threads: {self.threads}"

    @property
    def options(self) -> list[str]:
        """What it is on the command line, beside `OMP_NUM_THREADS`."""
        where = ["--address", "local"] if self.engine == "ray" else []
        crew = [] if self.workers is None else ["--workers", str(self.workers)]
        return ["--engine", self.engine, *where, *crew, "--cpus-per-worker", str(self.threads)]


@dataclass(frozen=True, slots=True)
class Run:
    """One run: rows a second while shards are committed, and seconds that it took beside."""

    rate: float
    beside: float


def comparisons(threads: int, engines: Sequence[str]) -> list[tuple[Setup, Setup]]:
    """Return what is compared with what: workers here with one process, one on Ray likewise.

    The last two tell what more workers on Ray gain.
    """
    one = Setup("local", threads)
    pairs = {
        "local": [(Setup("local", 1, workers=threads), one)],
        "ray": [
            (Setup("ray", threads, workers=1), one),
            (Setup("ray", 1, workers=threads), Setup("ray", 1, workers=1)),
        ],
    }
    return [pair for engine in engines for pair in pairs[engine]]


def main() -> None:
    """Run all setups in turn, and compare those of a round."""
    options = parse()
    pairs = comparisons(options.threads, options.engines)
    setups = list(dict.fromkeys(setup for pair in pairs for setup in pair))
    runs: dict[Setup, list[Run]] = {setup: [] for setup in setups}
    with tempfile.TemporaryDirectory() as home:
        texts = Path(home) / "texts.jsonl"
        texts.write_text("".join(islice(_lines(options.texts), options.rows)), encoding="utf-8")
        for number in range(options.rounds):
            for turn in range(len(setups)):
                setup = setups[(turn + number) % len(setups)]
                say(f"round {number + 1} of {options.rounds}: {setup.name}")
                out = Path(home) / f"{number}-{turn}"
                runs[setup].append(measure(setup, options, texts=texts, out=out))
    base = dict(pairs)
    ratios = {one: _ratios(runs[one], runs[other]) for one, other in base.items()}
    cells = [_cells(setup, runs[setup], ratios.get(setup, [])) for setup in setups]
    figures = {
        "model": options.model.resolve().name,
        "ratios": {one.name: {"to": base[one].name, "by_round": ratios[one]} for one in base},
        "rows": options.rows,
        "runs": {setup.name: [asdict(run) for run in runs[setup]] for setup in setups},
        "shard_rows": options.shard_rows,
    }
    emit(aligned(HEADER, cells), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", type=Path, default=SAMPLE / "texts.jsonl", metavar="FILE")
    parser.add_argument("--rows", type=int, default=4000, metavar="N")
    parser.add_argument("--shard-rows", type=int, default=100, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--engines", nargs="+", choices=("local", "ray"), default=["local", "ray"], metavar="NAME"
    )
    parser.add_argument(
        "--samples", default="auto", metavar="N", help="as of explain (%(default)s)"
    )
    parser.add_argument(
        "--threads", type=int, default=2, metavar="N", help="cores to be used (%(default)s)"
    )
    add_json_option(parser)
    return parser.parse_args()


def measure(setup: Setup, options: argparse.Namespace, *, texts: Path, out: Path) -> Run:
    """Explain the texts in a process of its own, and read its pace from the files it leaves."""
    command = [sys.executable, "-m", "saliency_cli", "explain", options.model, texts, "--out", out]
    command += ["--shard-rows", str(options.shard_rows), "--html-rows", "0", "--quiet"]
    command += ["--device", "cpu", "--samples", options.samples, *setup.options]
    environment = os.environ | EVEN | {"OMP_NUM_THREADS": str(setup.threads)}
    started = perf_counter()
    subprocess.run(command, check=True, env=environment)
    seconds = perf_counter() - started
    ends = sorted(path.stat().st_mtime for path in (out / "records").iterdir())
    pace = (options.rows - options.shard_rows) / (ends[-1] - ends[0])
    return Run(pace, seconds - options.rows / pace)


def _lines(texts: Path) -> Iterator[str]:
    """Repeat the texts; each time another one, for a text is explained once in a window."""
    rows = [json.loads(line)["text"] for line in texts.read_text(encoding="utf-8").splitlines()]
    for number, text in enumerate(cycle(rows)):
        yield json.dumps({"text": f"{number} {text}"}) + "\n"


def _ratios(runs: list[Run], others: list[Run]) -> list[float]:
    return [run.rate / other.rate for run, other in zip(runs, others, strict=True)]


def _cells(setup: Setup, runs: list[Run], ratios: list[float]) -> list[str]:
    compared = [f"{pick(ratios):.2f}" if ratios else "" for pick in (median, min, max)]
    rate, beside = median(run.rate for run in runs), median(run.beside for run in runs)
    return [setup.name, f"{rate:.1f}", *compared, f"{beside:.1f}"]


if __name__ == "__main__":
    main()
