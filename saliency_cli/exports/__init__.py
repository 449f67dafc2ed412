"""A finished run in other formats, each a function from the run to pieces of a file."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from saliency_cli.exports.eraser import eraser
from saliency_cli.exports.github import annotations, step_summary
from saliency_cli.exports.instances import instances
from saliency_cli.exports.junit import junit
from saliency_cli.exports.tables import csv_table, parquet_table
from saliency_cli.runs.finished_run import FinishedRun

Export: TypeAlias = Callable[[FinishedRun], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is written; whether to a file only, and whether quarantined rows are in it."""

    export: Export
    binary: bool = False
    quarantined: bool = True


EXPORTS: dict[str, Format] = {
    "csv": Format(csv_table),
    "parquet": Format(parquet_table, binary=True),
    "instances": Format(instances, quarantined=False),
    "eraser": Format(eraser, quarantined=False),
    "github": Format(annotations),
    "github-summary": Format(step_summary),
    "junit": Format(junit),
}
"""By the name that `--format` takes."""
