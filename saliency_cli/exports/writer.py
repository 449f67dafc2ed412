"""Writes an export to standard output, or to a file that takes its name only when it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from saliency_cli.atomic_files import open_atomic_bytes, output_errors
from saliency_cli.errors import UsageError
from saliency_cli.exports import EXPORTS
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.stdout import write_data


def write_export(run: FinishedRun, name: str, *, output: Path | None) -> None:
    """Write a run in one format, a few records at a time.

    Args:
        run: The finished run.
        name: The name of the format, a key of `EXPORTS`.
        output: The file to write; None for standard output.

    Raises:
        UsageError: the format needs a file or a library, or a record is damaged.
        OutputError: the file or standard output cannot be written.
    """
    export = EXPORTS[name]
    chunks = export.encode(run)
    if output is None:
        if export.binary:
            raise UsageError(f"--format {name} is binary", "name a file with --output")
        write_data(chunks)
        return
    with _open_output(output) as stream:
        for chunk in chunks:
            with output_errors(output):
                stream.write(chunk)


@contextmanager
def _open_output(output: Path) -> Iterator[IO[bytes]]:
    """Open a file that is replaced when it is whole; write into a pipe or a device directly."""
    if output.is_file() or not output.exists():
        with open_atomic_bytes(output) as stream:
            yield stream
        return
    with output_errors(output):
        device = output.open("wb")
    with output_errors(output), device:
        yield device


def omitted_rows(run: FinishedRun, name: str) -> int:
    """Return the number of quarantined rows that a format leaves out.

    Args:
        run: The finished run.
        name: The name of the format, a key of `EXPORTS`.
    """
    return 0 if EXPORTS[name].includes_quarantined else run.summary.quarantined
