"""Writes an export to standard output, or to a file that takes its name only when it is whole."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Protocol, Self, TypeVar

from saliency_cli.atomic_files import TEMPORARY_SUFFIX, open_atomic_bytes, output_errors
from saliency_cli.comparison.folder import ComparisonFolder
from saliency_cli.errors import UsageError
from saliency_cli.exports import EXPORTS
from saliency_cli.exports.comparison import COMPARISON_EXPORTS
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.ownership import sha256_of
from saliency_cli.safe_text import visible
from saliency_cli.stdout import write_data

_OTHER_FILE = "use another file with --output"
Encode_co = TypeVar("Encode_co", covariant=True)


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
    chunks = _encoder(export, rows=rows)(run)
    if output is None:
        if export.binary:
            raise UsageError(f"--format {name} is binary", "name a file with --output")
        write_data(chunks)
        return
    _write_file(chunks, output, sources=Sources.of_run(run), overwrite=overwrite)


def write_comparison_export(
    folder: ComparisonFolder,
    name: str,
    *,
    output: Path | None,
    overwrite: bool = False,
    rows: bool = False,
) -> None:
    """Write a comparison in one format, a few rows at a time.

    Args:
        folder: The folder of the comparison.
        name: The name of the format, a key of `COMPARISON_EXPORTS`.
        output: The file to write; None for standard output.
        overwrite: Whether an existing file may be replaced.
        rows: Whether a format that sums the rows up has a part for each broken one.

    Raises:
        UsageError: there is no such format of a comparison, the comparison is damaged, or the file
            may not be written: see `check_output`.
        OutputError: the file or standard output cannot be written.
    """
    if name not in COMPARISON_EXPORTS:
        raise UsageError(
            f"--format {name} is of a run, and this folder holds a comparison",
            f"use one of {', '.join(COMPARISON_EXPORTS)}",
        )
    encode = _encoder(COMPARISON_EXPORTS[name], rows=rows)
    result = folder.read_result()
    chunks = encode(result, folder.read_rows)
    if output is None:
        write_data(chunks)
    else:
        _write_file(
            chunks, output, sources=Sources.of_comparison(folder, result), overwrite=overwrite
        )


class _Encodes(Protocol[Encode_co]):
    """An export of a run or of a comparison."""

    @property
    def name(self) -> str:
        """The value of `--format`."""

    @property
    def encode(self) -> Encode_co:
        """Yields the content."""

    @property
    def encode_rows(self) -> Encode_co | None:
        """The content with a part for each row; None for a format without that choice."""


def _encoder(export: _Encodes[Encode_co], *, rows: bool) -> Encode_co:
    """Return what encodes the content, with a part for each row or without."""
    if not rows:
        return export.encode
    if export.encode_rows is None:
        raise UsageError(
            f"--junit-rows is for --format junit, and not for {export.name}", "leave it out"
        )
    return export.encode_rows


def _write_file(
    chunks: Iterable[bytes], output: Path, *, sources: "Sources", overwrite: bool
) -> None:
    check_output(output, sources, overwrite=overwrite)
    with _open_output(output) as stream:
        for chunk in chunks:
            with output_errors(output):
                stream.write(chunk)


@dataclass(frozen=True, slots=True)
class Sources:
    """What an export is made from, and must not replace.

    The manifest holds names and hashes, and no path.

    Attributes:
        folder: The folder of the run or the comparison.
        names: Names of the input files.
        hashes: SHA-256 of the files of inputs, models and tokenizers.
    """

    folder: Path
    names: frozenset[str]
    hashes: frozenset[str]

    @classmethod
    def of_run(cls, run: FinishedRun) -> Self:
        """Return what a run was made from."""
        names = frozenset([run.manifest["input"]["name"]])
        return cls(run.folder.path, names, frozenset(_hashes(run.manifest["hashes"])))

    @classmethod
    def of_comparison(cls, folder: ComparisonFolder, result: Mapping[str, Any]) -> Self:
        """Return what the two runs of a comparison were made from.

        Args:
            folder: The folder of the comparison.
            result: What its `comparison.json` holds.
        """
        runs = result["before"], result["after"]
        hashes = frozenset(chain.from_iterable(_hashes(run["hashes"]) for run in runs))
        return cls(folder.path, frozenset(run["input"] for run in runs), hashes)

    def include(self, output: Path) -> bool:
        """Whether a file has the name of an input, or the content of a file that was read."""
        return visible(output.name) in self.names or sha256_of(output) in self.hashes


def _hashes(hashes: Mapping[str, Any]) -> Iterator[str]:
    if hashes["input"] is not None:
        yield hashes["input"]
    yield from (*hashes["model"].values(), *hashes["tokenizer"].values())


def check_output(output: Path, sources: Sources, *, overwrite: bool) -> None:
    """Check that an export may be written to a file; nothing is changed.

    Args:
        output: The file.
        sources: What the export is made from.
        overwrite: Whether an existing file may be replaced.

    Raises:
        UsageError: It is a folder, in the folder that is exported, the input or a file of the
            model, a link or a block device, or it exists and may not be replaced.
    """
    name = visible(str(output))
    if output.is_dir():  # among them "", "." and "/", which have no name
        raise UsageError(f"{name} is a folder, not a file", _OTHER_FILE)
    if output.resolve().is_relative_to(sources.folder.resolve()):
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
    if output.is_file() and sources.include(output):
        raise UsageError(f"{name} is a file that the run was made from", _OTHER_FILE)
    if output.is_file() and not overwrite:
        raise UsageError(f"{name} exists", "add --overwrite to replace it, or use another file")


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
