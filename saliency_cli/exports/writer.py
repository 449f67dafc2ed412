"""An export on its way out: to standard output, or to a file that is there only once whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from saliency_cli.atomic_files import open_atomic_bytes, output_errors
from saliency_cli.errors import UsageError
from saliency_cli.exports import EXPORTS
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.settings import ExportName
from saliency_cli.stdout import write_data


def write(run: FinishedRun, name: ExportName, *, output: Path | None) -> None:
    """Write a run in a format, a few records at a time.

    Raises:
        UsageError: the format needs a file, or a library; or a record is damaged.
        OutputError: it cannot be written.
    """
    chosen = EXPORTS[name]
    chunks = chosen.export(run)
    if output is None:
        if chosen.binary:
            raise UsageError(f"--format {name} is binary", "name a file with --output")
        write_data(chunks)
        return
    with _opened(output) as stream:
        for chunk in chunks:
            with output_errors(output):
                stream.write(chunk)


@contextmanager
def _opened(output: Path) -> Iterator[IO[bytes]]:
    """Open what was named: a pipe or a device is written into, and never replaced by a file."""
    if output.is_file() or not output.exists():
        with open_atomic_bytes(output) as stream:
            yield stream
        return
    with output_errors(output):
        device = output.open("wb")
    with output_errors(output), device:
        yield device


def left_out(run: FinishedRun, name: ExportName) -> int:
    """Count the quarantined rows that a format has no place for."""
    return 0 if EXPORTS[name].quarantined else run.summary.quarantined
