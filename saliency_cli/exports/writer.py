"""Writes an export to standard output, or to a file that takes its name only when it is whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from saliency_cli.atomic_files import TEMPORARY_SUFFIX, open_atomic_bytes, output_errors
from saliency_cli.errors import UsageError
from saliency_cli.exports import EXPORTS
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.ownership import sha256_of
from saliency_cli.safe_text import visible
from saliency_cli.stdout import write_data

_OTHER_FILE = "use another file with --output"


def write_export(
    run: FinishedRun,
    name: str,
    *,
    output: Path | None,
    overwrite: bool = False,
    rows: bool = False,
) -> None:
    """Write a run in one format, a few records at a time.

    Args:
        run: The finished run.
        name: The name of the format, a key of `EXPORTS`.
        output: The file to write; None for standard output.
        overwrite: Whether an existing file may be replaced.
        rows: Whether a format that sums the rows up has a part for each.

    Raises:
        UsageError: the format has no such choice, needs a file or a library, a record is damaged,
            or the file may not be written: see `check_output`.
        OutputError: the file or standard output cannot be written.
    """
    export = EXPORTS[name]
    if rows and export.encode_rows is None:
        raise UsageError(f"--junit-rows is for --format junit, and not for {name}", "leave it out")
    encode = export.encode_rows if rows and export.encode_rows else export.encode
    chunks = encode(run)
    if output is None:
        if export.binary:
            raise UsageError(f"--format {name} is binary", "name a file with --output")
        write_data(chunks)
        return
    check_output(run, output, overwrite=overwrite)
    with _open_output(output) as stream:
        for chunk in chunks:
            with output_errors(output):
                stream.write(chunk)


def check_output(run: FinishedRun, output: Path, *, overwrite: bool) -> None:
    """Check that an export may be written to a file; nothing is changed.

    Args:
        run: The finished run.
        output: The file.
        overwrite: Whether an existing file may be replaced.

    Raises:
        UsageError: It is a folder, in the run's folder, the input or a file of the model, a link or
            a block device, or it exists and may not be replaced.
    """
    name = visible(str(output))
    if output.is_dir():  # among them "", "." and "/", which have no name
        raise UsageError(f"{name} is a folder, not a file", _OTHER_FILE)
    if output.resolve().is_relative_to(run.folder.path.resolve()):
        raise UsageError(f"{name} is inside the folder of the run", _OTHER_FILE)
    temporary = output.with_name(output.name + TEMPORARY_SUFFIX)
    if os.path.lexists(temporary):
        raise UsageError(
            f"{visible(str(temporary))} exists, and the export is first written there",
            "remove it, or use another file with --output",
        )
    if not os.path.lexists(output) or output.is_char_device() or output.is_fifo():
        return
    if output.is_symlink() or output.is_block_device():
        kind = "a symbolic link" if output.is_symlink() else "a block device"
        raise UsageError(f"{name} is {kind}", _OTHER_FILE)
    if output.is_file() and _is_source(run, output):
        raise UsageError(f"{name} is a file that the run was made from", _OTHER_FILE)
    if output.is_file() and not overwrite:
        raise UsageError(f"{name} exists", "add --overwrite to replace it, or use another file")


def _is_source(run: FinishedRun, output: Path) -> bool:
    """Whether a file has the name of the run's input, or the content of a file that was read.

    The manifest holds names and hashes, and no path.
    """
    hashes = run.manifest["hashes"]
    known = [hashes["input"], *hashes["model"].values(), *hashes["tokenizer"].values()]
    return visible(output.name) == run.manifest["input"]["name"] or sha256_of(output) in known


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
