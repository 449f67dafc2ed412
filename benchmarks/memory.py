"""Peak memory and time of `saliency explain` for few rows and for many: neither should grow.

Each run is a process of its own, whose peak the system reports. See README.md beside this file.
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

from reporting import SAMPLE, add_clock_option, add_json_option, aligned, emit, say

# Nothing large is imported here: Linux counts the memory of the process that starts another one as
# the other's first peak.

TIMED = Path(__file__).with_name("timed.py")
WORDS_KEPT = 3
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""The unit of `ru_maxrss`."""
HEADER = ("rows", "peak MiB", "ratio", "seconds", "rows/s", "ms/row")
MOST_ROUNDS, ROWS_OF_ROUNDS = 5, 10_000
"""Short runs are repeated, so many times at most, until they have had so many rows."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run of `saliency explain` took, at the median; `seconds` counts start and pages too.

    `ms_per_row` leaves them out: from the first shard's beginning until all are counted.
    """

    rows: int
    peak_mib: float
    seconds: float
    ms_per_row: float

    @property
    def rows_per_second(self) -> float:
        """Rows per second, start and pages included."""
        return self.rows / self.seconds


def main() -> None:
    """Measure each number of rows, and compare with the first."""
    options = parse()
    runs = [repeated(options, rows) for rows in options.rows]
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
    """Read the command line."""
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


def repeated(options: argparse.Namespace, rows: int) -> Run:
    """Explain so many texts, a few times if they are few; return the median run."""
    rounds = max(1, min(MOST_ROUNDS, ROWS_OF_ROUNDS // rows))
    runs = [measure(options, rows) for _ in range(rounds)]
    medians = (
        median(getattr(run, name) for run in runs) for name in ("peak_mib", "seconds", "ms_per_row")
    )
    return Run(rows, *medians)


def measure(options: argparse.Namespace, rows: int) -> Run:
    """Explain so many texts in a process of their own."""
    say(f"{rows:,} rows")
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.jsonl"
        with texts.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps({"text": text}) + "\n" for text in short_texts(rows))
        noted = Path(folder) / "seconds"
        clock = "cpu" if options.cpu_time else "clock"
        command = [sys.executable, TIMED, noted, clock, "explain", options.model, texts]
        command += ["--out", Path(folder) / "report", "--samples", options.samples]
        command += ["--html-rows", str(options.html_rows), "--device", "cpu", "--quiet"]
        started = perf_counter()
        usage = run(command)
        seconds = perf_counter() - started
        if options.cpu_time:
            seconds = usage.ru_utime + usage.ru_stime
        ms_per_row = 1000 * float(noted.read_text(encoding="ascii")) / rows
        return Run(rows, usage.ru_maxrss * MAXRSS_BYTES / 2**20, seconds, ms_per_row)


def run(command: Sequence[str | Path]) -> struct_rusage:
    """Run a command to its end, and return what it took of the machine."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"saliency explain ended with exit code {process.returncode}")
    return usage


def short_texts(count: int) -> list[str]:
    """Return so many different texts: the beginnings of the sample's, each with another word.

    They are shuffled, so that few are as long, on average, as many.
    """
    texts = list(_combined())
    if len(texts) < count:
        raise SystemExit(f"the sample makes {len(texts):,} short texts, not {count:,}")
    Random(0).shuffle(texts)  # noqa: S311
    return texts[:count]


def _combined() -> Iterator[str]:
    lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    words = [json.loads(line)["text"].split() for line in lines]
    heads = dict.fromkeys(" ".join(text[:WORDS_KEPT]) for text in words)
    ends = dict.fromkeys(word for text in words for word in text)
    return (f"{head} {end}" for end, head in product(ends, heads))


if __name__ == "__main__":
    main()
