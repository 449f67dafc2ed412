"""Peak memory and time per row of `saliency explain` for few and many rows: neither should grow.

Each run is a separate process, whose peak memory the system reports. See README.md beside this
file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from random import Random
from resource import struct_rusage
from statistics import median
from time import perf_counter

from reporting import SAMPLE, add_clock_option, add_json_option, aligned, emit, print_progress

# No large library is imported here: on Linux the first peak of a new process is the memory of the
# process that started it.

TIMED_EXPLAIN = Path(__file__).with_name("timed_explain.py")
WORDS_KEPT = 3
"""Words of a text of the sample that a short text begins with."""
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""The unit of `ru_maxrss` in bytes; see getrusage(2)."""
HEADER = ("rows", "peak MiB", "ratio", "seconds", "rows/s", "ms/row")
MAX_ROUNDS, ROWS_OF_ROUNDS = 5, 10_000
"""A run is repeated until all rounds have that many rows together, and at most that often."""


@dataclass(frozen=True, slots=True)
class Run:
    """The cost of a run of `saliency explain`.

    Attributes:
        peak_mib: Largest resident memory in MiB.
        seconds: Seconds of the whole process.
        ms_per_row: Milliseconds per row from the start of the first shard until the rows are
            counted, without the start of the program and the writing of the pages.
    """

    rows: int
    peak_mib: float
    seconds: float
    ms_per_row: float

    @property
    def rows_per_second(self) -> float:
        """Rows per second of the whole process."""
        return self.rows / self.seconds


def main() -> None:
    """Measure runs with each number of rows, and compare them with the first."""
    options = parse()
    runs = [median_run(options, rows) for rows in options.rows]
    cells = [
        [
            f"{run.rows:,}",
            f"{run.peak_mib:.1f}",
            f"{run.peak_mib / runs[0].peak_mib:.3f}",
            f"{run.seconds:.1f}",
            f"{run.rows_per_second:.1f}",
            f"{run.ms_per_row:.3f}",
        ]
        for run in runs
    ]
    figures = {
        "cpu_time": options.cpu_time,
        "html_rows": options.html_rows,
        "model": options.model.resolve().name,
        "ratio": runs[-1].peak_mib / runs[0].peak_mib,
        "runs": [{**asdict(run), "rows_per_second": run.rows_per_second} for run in runs],
        "samples": options.samples,
    }
    emit(aligned(HEADER, cells), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000], metavar="N")
    parser.add_argument("--samples", default="1", metavar="N", help="as of explain (%(default)s)")
    parser.add_argument(
        "--html-rows", type=int, default=500, metavar="N", help="as of explain (%(default)s)"
    )
    add_clock_option(parser)
    add_json_option(parser)
    return parser.parse_args()


def median_run(options: argparse.Namespace, rows: int) -> Run:
    """Return the median of each figure over several runs; with many rows there is only one.

    Args:
        options: The options of the command line.
        rows: The number of rows of a run.
    """
    rounds = max(1, min(MAX_ROUNDS, ROWS_OF_ROUNDS // rows))
    runs = [measure(options, rows) for _ in range(rounds)]
    medians = (
        median(getattr(run, name) for run in runs) for name in ("peak_mib", "seconds", "ms_per_row")
    )
    return Run(rows, *medians)


def measure(options: argparse.Namespace, rows: int) -> Run:
    """Return the cost of one run in a separate process.

    Args:
        options: The options of the command line.
        rows: The number of rows.
    """
    print_progress(f"{rows:,} rows")
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.jsonl"
        with texts.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps({"text": text}) + "\n" for text in short_texts(rows))
        seconds_file = Path(folder) / "seconds"
        clock = "cpu" if options.cpu_time else "clock"
        command = [
            sys.executable,
            TIMED_EXPLAIN,
            seconds_file,
            clock,
            "explain",
            options.model,
            texts,
        ]
        command += ["--out", Path(folder) / "report", "--samples", options.samples]
        command += ["--html-rows", str(options.html_rows), "--device", "cpu", "--quiet"]
        started = perf_counter()
        usage = run_command(command)
        seconds = perf_counter() - started
        if options.cpu_time:
            seconds = usage.ru_utime + usage.ru_stime
        ms_per_row = 1000 * float(seconds_file.read_text(encoding="ascii")) / rows
        return Run(rows, usage.ru_maxrss * MAXRSS_BYTES / 2**20, seconds, ms_per_row)


def run_command(command: Sequence[str | Path]) -> struct_rusage:
    """Run a command, and return its use of processor time and memory."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"saliency explain exited with {process.returncode}")
    return usage


def short_texts(count: int) -> list[str]:
    """Return so many different texts: beginnings of the sample's texts, each with another word.

    They are shuffled, so that the mean length does not depend on their number.
    """
    texts = list(_combinations())
    if len(texts) < count:
        raise SystemExit(f"--rows {count:,}: the sample's words make only {len(texts):,} texts")
    Random(0).shuffle(texts)  # noqa: S311
    return texts[:count]


def _combinations() -> Iterator[str]:
    """Yield each beginning with each word of the sample behind it."""
    lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    words = [json.loads(line)["text"].split() for line in lines]
    heads = dict.fromkeys(" ".join(text[:WORDS_KEPT]) for text in words)
    ends = dict.fromkeys(word for text in words for word in text)
    return (f"{head} {end}" for end, head in product(ends, heads))


if __name__ == "__main__":
    main()
