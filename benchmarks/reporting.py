"""What the benchmarks share: the clock, the table on stdout and the figures as JSON."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, process_time

SAMPLE = Path(__file__).resolve().parent.parent / "sample_data"
STDOUT = "-"
"""The value of `--json` that stands for standard output."""


def add_json_option(parser: ArgumentParser) -> None:
    """Add the option `--json FILE`. Without FILE, or with "-", the figures go to stdout."""
    parser.add_argument(
        "--json",
        nargs="?",
        const=STDOUT,
        metavar="FILE",
        help="write the figures to FILE, or to stdout (-)",
    )


def add_clock_option(parser: ArgumentParser) -> None:
    """Add the option `--cpu-time`; other programs on the machine hardly change its ratios."""
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="measure processor time, with one thread, where other programs use the machine too",
    )


def clock(options: Namespace) -> Callable[[], float]:
    """Return the function that measures seconds: of the clock, or of the processor."""
    return process_time if options.cpu_time else perf_counter


def print_progress(text: str) -> None:
    """Print a line of progress on stderr, so that stdout holds only the result."""
    print(text, file=sys.stderr, flush=True)


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text: the first column is aligned left, the others right.

    Args:
        header: The cells of the first line.
        rows: The cells of the other lines, as many as in the header.
    """
    columns = zip(header, *rows, strict=True)
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])],
        ).rstrip()
        for row in (header, *rows)
    )


def emit(report: str, figures: Mapping[str, object], *, target: str | None) -> None:
    """Print the report, and write the figures if `--json` was given.

    Args:
        report: The text for people. It goes to stderr if the figures go to stdout.
        figures: The object that is written as JSON, with sorted keys.
        target: The value of `--json`; None if it was not given.
    """
    print(report, file=sys.stderr if target == STDOUT else sys.stdout)
    if target is None:
        return
    text = json.dumps(figures, allow_nan=False, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
    else:
        Path(target).write_text(text, encoding="utf-8")
