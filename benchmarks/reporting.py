"""What the benchmarks have in common: clock, table for people, JSON object for machines."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, process_time

SAMPLE = Path(__file__).resolve().parent.parent / "sample_data"
STDOUT = "-"


def add_json_option(parser: ArgumentParser) -> None:
    """Add `--json`: alone or with "-" it takes stdout, and the table goes to stderr."""
    parser.add_argument(
        "--json", nargs="?", const=STDOUT, metavar="FILE", help="write the figures (-: stdout)"
    )


def add_clock_option(parser: ArgumentParser) -> None:
    """Add `--cpu-time`, whose ratios other programs on the machine hardly change."""
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="count the processor's time: for one thread, on a machine that does other work too",
    )


def clock(options: Namespace) -> Callable[[], float]:
    """Return the clock that was asked for."""
    return process_time if options.cpu_time else perf_counter


def say(text: str) -> None:
    """Tell on stderr what is under way, so that stdout holds only the result."""
    print(text, file=sys.stderr, flush=True)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table: the first column flush left, the figures flush right."""
    columns = zip(header, *rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])],
        ).rstrip()
        for row in (header, *rows)
    )


def emit(report: str, figures: Mapping[str, object], *, target: str | None) -> None:
    """Print the report, and write the figures with sorted keys where they are asked for."""
    print(report, file=sys.stderr if target == STDOUT else sys.stdout)
    if target is None:
        return
    text = json.dumps(figures, allow_nan=False, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")
