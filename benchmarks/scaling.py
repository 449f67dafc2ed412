"""Rows per second of `saliency explain` with workers, here or on Ray, against one process.

`--engines cores` compares 2, 4, 8 and 16 workers, up to the cores of the machine, with one. Each
run is a separate process. The rate is measured between the commits of the first and the last
shard; the time to start and to write the pages is given apart. See README.md beside this file.
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

from reporting import SAMPLE, add_json_option, aligned, emit, print_progress

from saliency_cli.model.devices import available_cores

RAY_ENVIRONMENT = {"RAY_worker_niceness": "0"}
"""Ray gives its workers a low priority by default; a local run has the normal one."""
HEADER = ("run", "rows/s", "ratio", "least", "most", "start and end, s")


@dataclass(frozen=True, slots=True)
class Setup:
    """How a run is executed.

    Attributes:
        engine: The value of `--engine`.
        threads: Cores of each process, which computes as many batches at the same time.
        workers: The number of workers; None for a run in one process.
    """

    engine: str
    threads: int
    workers: int | None = None

    @property
    def name(self) -> str:
        """The name in the table."""
        engine = self.engine if self.workers is None else f"{self.engine}, workers: {self.workers}"
        return f"{engine}, threads: {self.threads}"

    @property
    def options(self) -> list[str]:
        """The options of `saliency explain`, without the environment variable OMP_NUM_THREADS."""
        address = ["--address", "local"] if self.engine == "ray" else []
        workers = ["--workers", str(self.workers or 1)]
        return ["--engine", self.engine, *address, *workers, "--cpus-per-worker", str(self.threads)]


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements of one run.

    Attributes:
        rate: Rows per second between the first and the last commit of a shard.
        overhead: Seconds of the whole process that the rows did not take.
    """

    rate: float
    overhead: float


def comparisons(threads: int, engines: Sequence[str]) -> list[tuple[Setup, Setup]]:
    """Return pairs of a setup and the setup that it is compared with.

    Args:
        threads: The number of cores that every setup uses, except one worker with one thread.
        engines: "local" compares workers with one process. "ray" compares one worker on Ray with
            one process, and several workers with one worker, each with one thread. "cores"
            compares 2, 4, 8 … workers with one worker, each with one thread.
    """
    one = Setup("local", threads)
    pairs = {
        "local": [(Setup("local", 1, workers=threads), one)],
        "cores": [
            (Setup("local", 1, workers=1 << power), Setup("local", 1, workers=1))
            for power in range(1, threads.bit_length())
        ],
        "ray": [
            (Setup("ray", threads, workers=1), one),
            (Setup("ray", 1, workers=threads), Setup("ray", 1, workers=1)),
        ],
    }
    return [pair for engine in engines for pair in pairs[engine]]


def main() -> None:
    """Run all setups in alternation, and compare the runs of each round."""
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
                print_progress(f"round {number + 1} of {options.rounds}: {setup.name}")
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
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", type=Path, default=SAMPLE / "texts.jsonl", metavar="FILE")
    parser.add_argument("--rows", type=int, default=4000, metavar="N")
    parser.add_argument("--shard-rows", type=int, default=100, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--engines",
        nargs="+",
        choices=("local", "cores", "ray"),
        default=["local", "cores", "ray"],
        metavar="NAME",
    )
    parser.add_argument(
        "--samples", default="auto", metavar="N", help="as of explain (%(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=min(16, available_cores()),
        metavar="N",
        help="cores that are used (%(default)s)",
    )
    add_json_option(parser)
    return parser.parse_args()


def measure(setup: Setup, options: argparse.Namespace, *, texts: Path, out: Path) -> Run:
    """Explain the texts in a separate process, and return its rate.

    The rate follows from the modification times of the files of records, one for each shard.

    Args:
        setup: How the run is executed.
        options: The options of the command line.
        texts: The file of texts.
        out: The run's folder.
    """
    command = [sys.executable, "-m", "saliency_cli", "explain", options.model, texts, "--out", out]
    command += ["--shard-rows", str(options.shard_rows), "--html-rows", "0", "--quiet"]
    command += ["--device", "cpu", "--samples", options.samples, *setup.options]
    environment = os.environ | RAY_ENVIRONMENT | {"OMP_NUM_THREADS": str(options.threads)}
    started = perf_counter()
    subprocess.run(command, check=True, env=environment)
    seconds = perf_counter() - started
    commit_times = sorted(path.stat().st_mtime for path in (out / "records").iterdir())
    rate = (options.rows - options.shard_rows) / (commit_times[-1] - commit_times[0])
    return Run(rate, seconds - options.rows / rate)


def _lines(texts: Path) -> Iterator[str]:
    """Yield lines of JSON with the texts, repeated; a number makes each different.

    Equal texts that are sorted together are explained only once.
    """
    rows = [json.loads(line)["text"] for line in texts.read_text(encoding="utf-8").splitlines()]
    for number, text in enumerate(cycle(rows)):
        yield json.dumps({"text": f"{number} {text}"}) + "\n"


def _ratios(runs: list[Run], others: list[Run]) -> list[float]:
    """Return the ratio of the rates in each round."""
    return [run.rate / other.rate for run, other in zip(runs, others, strict=True)]


def _cells(setup: Setup, runs: list[Run], ratios: list[float]) -> list[str]:
    compared = [f"{pick(ratios):.2f}" if ratios else "" for pick in (median, min, max)]
    rate = median(run.rate for run in runs)
    overhead = median(run.overhead for run in runs)
    return [setup.name, f"{rate:.1f}", *compared, f"{overhead:.1f}"]


if __name__ == "__main__":
    main()
