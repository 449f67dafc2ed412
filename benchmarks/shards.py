"""The cost of planning, committing and resuming a run, for few rows and for a million.

The engine is replaced by a stub that gives all words of a text the same score; everything else is
the real code. Each run is a separate process, whose peak memory the system reports. See README.md
beside this file.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from memory import MAXRSS_BYTES
from reporting import SAMPLE, add_json_option, aligned, emit, print_progress

# The package is imported in the child processes only: on Linux the first peak of a new process is
# the memory of the process that started it.

WORDS = "free call now you won a prize text me when home is where the heart was late ok".split()
HEADER = (
    *("rows", "plan rows/s", "peak MiB", "ratio", "commit ms/shard", "share of engine"),
    *("resume peak MiB", "resume s"),
)


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements for one number of rows.

    Attributes:
        commit: Seconds to commit one shard.
        resume_seconds: Seconds of the resumed run, half of whose shards were removed.
    """

    rows: int
    plan_seconds: float
    peak_mib: float
    commit: float
    resume_seconds: float
    resume_peak_mib: float

    def cells(self, first: "Run", *, engine: float) -> list[str]:
        """Return the cells of a line of the table.

        Args:
            first: The run that the peak memory is compared with.
            engine: Seconds that the real engine takes to explain one shard.
        """
        return [
            f"{self.rows:,}",
            f"{self.rows / self.plan_seconds:,.0f}",
            f"{self.peak_mib:.1f}",
            f"{self.peak_mib / first.peak_mib:.3f}",
            f"{1000 * self.commit:.1f}",
            f"{self.commit / engine:.2%}",
            f"{self.resume_peak_mib:.1f}",
            f"{self.resume_seconds:.1f}",
        ]


def main() -> None:
    """Measure runs with each number of rows, and the real engine on one shard."""
    options = parse()
    if options.child is not None:
        figures_of_child = CHILDREN[options.child](options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES / 2**20
        print(json.dumps({**figures_of_child, "peak_mib": peak}))
        return
    engine = run_child(options, "engine", rows=options.shard_rows)["seconds"]
    runs = [measure(options, rows) for rows in options.rows]
    cells = [run.cells(runs[0], engine=engine) for run in runs]
    figures = {
        "engine_seconds_per_shard": engine,
        "model": options.model.resolve().name,
        "runs": [asdict(run) for run in runs],
        "shard_rows": options.shard_rows,
    }
    emit(aligned(HEADER, cells), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000], metavar="N")
    parser.add_argument("--shard-rows", type=int, default=2000, metavar="N")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    add_json_option(parser)
    return parser.parse_args()


def measure(options: argparse.Namespace, rows: int) -> Run:
    """Return the cost of a run, and of resuming it after every second shard was removed.

    Args:
        options: The options of the command line.
        rows: The number of rows.
    """
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        whole = run_child(options, "whole", rows=rows)
        for part in sorted((options.folder / "out" / "records").iterdir())[::2]:
            part.unlink()
        resumed = run_child(options, "resumed", rows=rows)
    return Run(
        rows=rows,
        plan_seconds=whole["plan"],
        peak_mib=whole["peak_mib"],
        commit=whole["commit"] / whole["shards"],
        resume_seconds=resumed["seconds"],
        resume_peak_mib=resumed["peak_mib"],
    )


def run_child(options: argparse.Namespace, child: str, *, rows: int) -> dict[str, Any]:
    """Run one of `CHILDREN` in a separate process, and return its figures.

    Args:
        options: The options of the command line.
        child: A key of `CHILDREN`.
        rows: The number of rows.
    """
    print_progress(f"{child}: {rows:,} rows")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--child", child, "--rows", str(rows)]
        command += ["--model", options.model, "--shard-rows", str(options.shard_rows)]
        command += ["--folder", options.folder or folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def whole(options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of a whole run with the stub."""
    write_texts(options)
    return stubbed(options, resume=False)


def resumed(options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of resuming the run, half of whose shards were removed."""
    return stubbed(options, resume=True)


def engine(options: argparse.Namespace) -> dict[str, float]:
    """Return the seconds of explaining one shard with the real engine and default settings."""
    from saliency_cli.attribution.engine import explain  # noqa: PLC0415
    from saliency_cli.runs.setup import start_run  # noqa: PLC0415

    write_texts(options)
    with start_run(request(options, resume=False), console()) as (job, _lock):
        rows = [*job.source.rows(job.plan.positions[0], job.plan.size(0))]
        started = perf_counter()
        for _ in explain(rows, job.engine):
            pass
        return {"seconds": perf_counter() - started}


def stubbed(options: argparse.Namespace, *, resume: bool) -> dict[str, float]:
    """Execute a run with the stub, without writing the pages.

    Args:
        options: The options of the command line.
        resume: Whether the run is resumed.

    Returns:
        The seconds of planning, of committing, and of the whole run, and the number of shards.
    """
    from stub_engine import explain_with_equal_scores  # noqa: PLC0415

    from saliency_cli.runs import setup, shard_runner  # noqa: PLC0415
    from saliency_cli.runs.finalize import finish  # noqa: PLC0415
    from saliency_cli.runs.manifest import write_plan  # noqa: PLC0415
    from saliency_cli.runs.receipts import is_committed, write_receipt  # noqa: PLC0415
    from saliency_cli.runs.run_folder import RunFolder  # noqa: PLC0415
    from saliency_cli.workers.in_process import explain_in_process  # noqa: PLC0415
    from saliency_cli.workers.interface import ShardWork  # noqa: PLC0415

    started = perf_counter()
    committing, planning = Timer(), Timer()
    writer = timed_exit(RunFolder.record_writer, committing)
    run_request = request(options, resume=resume)
    with (
        patch.object(shard_runner, "explain", explain_with_equal_scores),
        patch.object(shard_runner, "write_receipt", committing.timed(write_receipt)),
        patch.object(RunFolder, "record_writer", writer),
        patch.object(setup, "write_plan", planning.timed(write_plan)),
        setup.start_run(run_request, console()) as (job, lock),
    ):
        numbers = range(len(job.plan.positions))
        missing = (each for each in numbers if not is_committed(job.folder, job.manifest, each))
        explain_in_process(ShardWork(job, lock, run_request, missing, lambda _rows: None))
        finish(job.folder, job.manifest)
    return {
        "commit": committing.seconds,
        "plan": planning.seconds,
        "seconds": perf_counter() - started,
        "shards": len(numbers),
    }


@dataclass(slots=True)
class Timer:
    """Adds up the seconds that functions take."""

    seconds: float = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and adds its time."""

        def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            started = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += perf_counter() - started

        return run


def timed_exit(open_context: Callable[..., Any], timer: Timer) -> Callable[..., Any]:
    """Return a function that opens the same context and measures the time of leaving it.

    Args:
        open_context: Returns a context manager.
        timer: Adds up the time.
    """

    @contextmanager
    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401
        context = open_context(*args, **kwargs)
        yield context.__enter__()
        timer.timed(context.__exit__)(None, None, None)

    return run


def write_texts(options: argparse.Namespace) -> None:
    """Write the file of texts, with 25 words per row."""
    with (options.folder / "texts.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(options.rows[0]):
            words = (WORDS[(number * step) % len(WORDS)] for step in range(24))
            text = " ".join((*words, str(number)))
            stream.write(json.dumps({"id": number, "label": "ham", "text": text}) + "\n")


def request(options: argparse.Namespace, *, resume: bool) -> Any:  # noqa: ANN401
    """Return the request of `saliency explain` with default settings.

    Args:
        options: The options of the command line.
        resume: Whether the run is resumed.
    """
    from saliency_cli import settings  # noqa: PLC0415
    from saliency_cli.attribution.maths import Maths  # noqa: PLC0415
    from saliency_cli.inputs.options import TextsChoice  # noqa: PLC0415
    from saliency_cli.runs.request import Request  # noqa: PLC0415

    return Request(
        model=settings.ModelChoice(options.model),
        texts=TextsChoice(str(options.folder / "texts.jsonl")),
        compute=settings.Compute(device="cpu"),
        maths=Maths(),
        output=settings.OutputChoice(options.folder / "out", resume=resume),
        sharding=settings.Sharding(shard_rows=options.shard_rows),
    )


def console() -> Any:  # noqa: ANN401
    """Return a console that prints nothing."""
    from saliency_cli.cli.console import Console  # noqa: PLC0415

    return Console(quiet=True)


CHILDREN = {"engine": engine, "resumed": resumed, "whole": whole}
"""What a child process measures, by the value of the hidden option `--child`."""


if __name__ == "__main__":
    main()
