"""What planning, committing and resuming cost by themselves, for few rows and for a million.

The engine is replaced by a stub that gives every word a made-up score; all else is the real thing.
Each run is a process of its own, whose peak memory the system reports. See README.md beside this
file.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

from memory import MAXRSS_BYTES
from reporting import SAMPLE, add_json_option, aligned, emit, say

WORDS = "free call now you won a prize text me when home is where the heart was late ok".split()
HEADER = (
    *("rows", "plan rows/s", "peak MiB", "ratio", "commit ms/shard", "share of engine"),
    *("resume peak MiB", "resume s"),
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one number of rows took; `commit` is seconds per shard, of `engine` it would compute."""

    rows: int
    plan_seconds: float
    peak_mib: float
    commit: float
    resume_seconds: float
    resume_peak_mib: float

    def cells(self, first: "Run", *, engine: float) -> list[str]:
        """Return the run as a line of the table."""
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
    """Measure each number of rows, and the engine on one shard."""
    options = parse()
    if options.child is not None:
        told = CHILDREN[options.child](options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES / 2**20
        print(json.dumps({**told, "peak_mib": peak}))
        return
    engine = ask(options, "engine", rows=options.shard_rows)["seconds"]
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
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000], metavar="N")
    parser.add_argument("--shard-rows", type=int, default=2000, metavar="N")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    add_json_option(parser)
    return parser.parse_args()


def measure(options: argparse.Namespace, rows: int) -> Run:
    """Run through all shards, take every second one away, and resume."""
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        whole = ask(options, "whole", rows=rows)
        for part in sorted((options.folder / "out" / "records").iterdir())[::2]:
            part.unlink()
        again = ask(options, "again", rows=rows)
    return Run(
        rows=rows,
        plan_seconds=whole["plan"],
        peak_mib=whole["peak_mib"],
        commit=whole["commit"] / whole["shards"],
        resume_seconds=again["seconds"],
        resume_peak_mib=again["peak_mib"],
    )


def ask(options: argparse.Namespace, child: str, *, rows: int) -> dict[str, Any]:
    """Have a process of its own do a part, and return what it tells."""
    say(f"{child}: {rows:,} rows")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--child", child, "--rows", str(rows)]
        command += ["--model", options.model, "--shard-rows", str(options.shard_rows)]
        command += ["--folder", options.folder or folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def whole(options: argparse.Namespace) -> dict[str, float]:
    """Plan, commit and finish a run with the stub."""
    write_texts(options)
    return stubbed(options, resume=False)


def again(options: argparse.Namespace) -> dict[str, float]:
    """Go on with the run, half of whose shards are gone."""
    return stubbed(options, resume=True)


def engine(options: argparse.Namespace) -> dict[str, float]:
    """Explain one shard with the real engine, at the default settings."""
    from saliency_cli.attribution.engine import explain  # noqa: PLC0415
    from saliency_cli.runs.setup import begun  # noqa: PLC0415

    write_texts(options)
    with begun(request(options, resume=False), console()) as (job, _lock):
        rows = [*job.source.rows(job.plan.positions[0], job.plan.size(0))]
        started = perf_counter()
        for _ in explain(rows, job.engine):
            pass
        return {"seconds": perf_counter() - started}


def stubbed(options: argparse.Namespace, *, resume: bool) -> dict[str, float]:
    """Run all of a run but its pages, the engine replaced by the stub."""
    from saliency_cli.runs import setup, shard_runner  # noqa: PLC0415
    from saliency_cli.runs.finalize import finish  # noqa: PLC0415
    from saliency_cli.runs.manifest import lay_down  # noqa: PLC0415
    from saliency_cli.runs.receipts import is_committed, write_receipt  # noqa: PLC0415
    from saliency_cli.runs.run_folder import RunFolder  # noqa: PLC0415
    from saliency_cli.workers.in_process import explain_here  # noqa: PLC0415
    from saliency_cli.workers.interface import ShardWork  # noqa: PLC0415

    started = perf_counter()
    committing, planning = Timer(), Timer()
    writer = timed_exit(RunFolder.record_writer, committing)
    asked = request(options, resume=resume)
    with (
        patch.object(shard_runner, "explain", stub),
        patch.object(shard_runner, "write_receipt", committing.timed(write_receipt)),
        patch.object(RunFolder, "record_writer", writer),
        patch.object(setup, "lay_down", planning.timed(lay_down)),
        setup.begun(asked, console()) as (job, lock),
    ):
        numbers = range(len(job.plan.positions))
        left = (each for each in numbers if not is_committed(job.folder, job.manifest, each))
        explain_here(ShardWork(job, lock, asked, left, lambda _rows: None))
        finish(job.folder, job.manifest)
    return {
        "commit": committing.seconds,
        "plan": planning.seconds,
        "seconds": perf_counter() - started,
        "shards": len(numbers),
    }


@dataclass(slots=True)
class Timer:
    """Adds up the time that functions take."""

    seconds: float = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, timed."""

        def run(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            started = perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += perf_counter() - started

        return run


def timed_exit(opened: Callable[..., Any], timer: Timer) -> Callable[..., Any]:
    """Return a context manager like the one given, the time that its end takes counted."""

    @contextmanager
    def run(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401
        context = opened(*args, **kwargs)
        yield context.__enter__()
        timer.timed(context.__exit__)(None, None, None)

    return run


def stub(rows: Iterable[Any], engine: Any, *, done: Any = None) -> Iterator[Any]:  # noqa: ANN401
    """Explain rows without a model: each word is a token, and all weigh the same."""
    from saliency_cli.records import Attribution, Encoding, Explanation, Prediction  # noqa: PLC0415

    labels = engine.classifier.labels
    prediction = Prediction(labels, tuple(1 / len(labels) for _ in labels), 0)
    for row in rows:
        engine.watch([row.ordinal])
        words = tuple(row.text.split())
        count = len(words)
        encoding = Encoding(
            ids=tuple(range(count)),
            type_ids=(0,) * count,
            tokens=words,
            offsets=((0, 1),) * count,
            special=(False,) * count,
            segments=(0,) * count,
        )
        weights = tuple(1 / count for _ in words)
        attribution = Attribution(weights, weights, samples=4, flip_rate=0.0)
        if done is not None:
            done(row)
        yield Explanation(row, encoding, prediction, {labels[0]: attribution})


def write_texts(options: argparse.Namespace) -> None:
    """Write as many rows as are asked for, of 25 words each."""
    with (options.folder / "texts.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(options.rows[0]):
            words = (WORDS[(number * step) % len(WORDS)] for step in range(24))
            text = " ".join((*words, str(number)))
            stream.write(json.dumps({"id": number, "label": "ham", "text": text}) + "\n")


def request(options: argparse.Namespace, *, resume: bool) -> Any:  # noqa: ANN401
    """Return what `saliency explain` would be asked for."""
    from saliency_cli import settings  # noqa: PLC0415

    return settings.Request(
        model=settings.ModelChoice(options.model),
        texts=settings.TextsChoice(str(options.folder / "texts.jsonl")),
        compute=settings.Compute(device="cpu"),
        maths=settings.Maths(),
        output=settings.OutputChoice(options.folder / "out", resume=resume),
        division=settings.Sharding(shard_rows=options.shard_rows),
    )


def console() -> Any:  # noqa: ANN401
    """Return a console that says nothing."""
    from saliency_cli.cli.console import Console  # noqa: PLC0415

    return Console(quiet=True)


CHILDREN = {"again": again, "engine": engine, "whole": whole}


if __name__ == "__main__":
    main()
