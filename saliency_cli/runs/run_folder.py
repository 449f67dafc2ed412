"""The folder of a run: where its files are, and which of them may be replaced or removed.

DIR/index.html, DIR/pages/     the report
DIR/records/part-00000.jsonl   one line per input row, in input order; one file per shard
DIR/manifest.json              the plan; of a finished run also its counts
DIR/suspects.json              what the check of shortcut suspects found
DIR/work/                      of an unfinished run: lock, receipts, crash journals, spooled input
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_cli.atomic_files import (
    TEMPORARY_SUFFIX,
    open_atomic,
    open_atomic_bytes,
    output_errors,
)
from saliency_cli.errors import UsageError
from saliency_cli.runs.ownership import (
    ARRIVING,
    INDEX,
    LOCK,
    MANIFEST,
    PAGES,
    RECORDS,
    SPOOL,
    SUSPECTS,
    WORK,
    Ownership,
    has_run_name,
)
from saliency_cli.runs.record_lines import RecordWriter, read_lines
from saliency_cli.safe_text import visible

SUBFOLDERS = (PAGES, RECORDS, WORK)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder that one run is written to."""

    path: Path

    def check(self, *, overwrite: bool = False, resume: bool = False) -> None:
        """Check that a run may be written here; nothing is changed.

        Args:
            overwrite: Whether an earlier run may be replaced.
            resume: Whether an earlier run may be resumed.

        Raises:
            UsageError: If `path` is not a folder, holds files that no run wrote, or already holds a
                run that may be neither replaced nor resumed.
        """
        name = visible(str(self.path))
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
            raise UsageError(f"{name} is not a folder", "use another folder with --out")
        existing = self.existing_files()
        Ownership.of(self.path).check(existing, whole=overwrite)
        if existing and not (overwrite or resume):
            if self.is_unfinished:
                hint = "add --resume to resume it, or --overwrite to replace it"
                raise UsageError(f"{name} already holds an unfinished run", hint)
            hint = "use another folder with --out, or add --overwrite"
            raise UsageError(f"{name} already holds a report", hint)

    @property
    def is_unfinished(self) -> bool:
        """Whether a run is in progress here, or was interrupted."""
        return (self.path / WORK).is_dir()

    def existing_files(self) -> list[str]:
        """Return the relative paths of what is here and in the subfolders of a run.

        The subfolders themselves are left out, so that an empty one counts as nothing.
        """
        if not self.path.exists():
            return []
        entries = set(self.path.iterdir())
        subfolders = {
            entry
            for entry in entries
            if entry.name in SUBFOLDERS and entry.is_dir() and not entry.is_symlink()
        }
        inside = {file for folder in subfolders for file in folder.iterdir()}
        return sorted(str(path.relative_to(self.path)) for path in (entries - subfolders) | inside)

    def clear(self, *, keep: frozenset[str] = frozenset()) -> None:
        """Create the folder, or remove the files of an earlier run; the lock file is kept.

        Args:
            keep: Relative paths of further files that are kept.

        Raises:
            UsageError: If a run did not write one of them; then none is removed.
            OutputError: If a file cannot be removed, or the folder cannot be created.
        """
        with output_errors(self.path):
            self._remove(lambda file: file not in keep | {LOCK})
            for folder in (PAGES, RECORDS):
                if (self.path / folder).exists():
                    (self.path / folder).rmdir()
            (self.path / RECORDS).mkdir(parents=True)

    def check_work(self) -> None:
        """Check that the run which is here may be finished: its working files are removed then.

        Raises:
            UsageError: If a run did not write one of the working or temporary files, or the pages,
                or one of its folders is a link or a file.
        """
        self.check_pages()
        files = self.existing_files()
        Ownership.of(self.path).check(
            file
            for file in files
            if file.startswith(f"{WORK}/")
            or file in SUBFOLDERS
            or (has_run_name(file) and file.endswith(TEMPORARY_SUFFIX))
        )

    def clear_pages(self) -> None:
        """Remove the pages of an earlier report: a smaller one would not overwrite them all.

        Raises:
            UsageError: As `check_pages`.
            OutputError: If they cannot be removed.
        """
        self.check_pages()
        with output_errors(self.path / PAGES):
            self._remove(lambda file: file.startswith(f"{PAGES}/"))

    def clear_suspects(self) -> None:
        """Remove what an earlier check of suspects found.

        Raises:
            UsageError, OutputError: As `clear_pages`.
        """
        with output_errors(self.suspects):
            self._remove(lambda file: file == SUSPECTS)

    def check_pages(self) -> None:
        """Check that the pages which are here may be replaced.

        Raises:
            UsageError: If the folder of the pages is a symbolic link or not a folder, or a run did
                not write one of the pages.
        """
        pages = self.path / PAGES
        if pages.is_symlink() or (pages.exists() and not pages.is_dir()):
            raise UsageError(
                f"{visible(str(pages))} is not a folder that saliency made", "remove or rename it"
            )
        files = [file for file in self.existing_files() if has_run_name(file)]
        pages_here = [file for file in files if file.startswith((INDEX, f"{PAGES}/"))]
        Ownership.of(self.path).check(pages_here)

    def clear_work(self) -> None:
        """Remove the working files of a run that is finished.

        Raises:
            OutputError: If they cannot be removed.
        """
        with output_errors(self.path / WORK):
            self._remove(lambda file: file.startswith(f"{WORK}/"))
            if (self.path / WORK).exists():
                (self.path / WORK).rmdir()

    def clear_temporary(self) -> None:
        """Remove the temporary files of processes that died; no other process may be writing here.

        Raises:
            OutputError: If they cannot be removed.
        """
        with output_errors(self.path):
            self._remove(lambda file: file.endswith(TEMPORARY_SUFFIX))

    def _remove(self, unwanted: Callable[[str], bool]) -> None:
        """Remove the unwanted files, after checking that a run wrote each of them.

        The manifest, which shows that records and pages are those of a run, is removed after them:
        a process that dies in between leaves files that can still be removed. The lock is the last.
        """
        files = [file for file in self.existing_files() if has_run_name(file) and unwanted(file)]
        Ownership.of(self.path).check(files)
        for file in sorted(files, key=_removal_rank):
            (self.path / file).unlink(missing_ok=True)

    def part(self, number: int) -> Path:
        """Return the path of a shard's records."""
        return self.path / RECORDS / f"part-{number:05d}.jsonl"

    def receipt(self, number: int) -> Path:
        """Return the path of a shard's receipt."""
        return self.path / WORK / f"{number:05d}.json"

    def journal(self, number: int) -> Path:
        """Return the path of a shard's crash journal."""
        return self.path / WORK / f"{number:05d}.journal"

    def journals(self) -> Iterator[Path]:
        """Yield the paths of the crash journals that exist."""
        return (self.path / WORK).glob("*.journal")

    @property
    def suspects(self) -> Path:
        """Path of what the check of suspects found."""
        return self.path / SUSPECTS

    @property
    def lock(self) -> Path:
        """Path of the lock file."""
        return self.path / LOCK

    @property
    def spool(self) -> Path:
        """Path of the copy of an input that can be read only once, such as standard input."""
        return self.path / SPOOL

    def start_spool(self) -> Path:
        """Return the path of the spooled input while it is written; one that was left is removed.

        Raises:
            UsageError: If a run did not write the file that is there.
            OutputError: If it cannot be removed.
        """
        with output_errors(self.path / ARRIVING):
            self._remove(lambda file: file == ARRIVING)
        return self.path / ARRIVING

    def finish_spool(self) -> None:
        """Remove the files of an earlier run, and give the spooled input its name.

        Raises:
            UsageError: If a run did not write one of them; then none is removed.
            OutputError: If a file cannot be removed or renamed.
        """
        self.clear(keep=frozenset({ARRIVING}))
        with output_errors(self.spool):
            (self.path / ARRIVING).replace(self.spool)

    @property
    def identity(self) -> Path:
        """Path of a file with random content, which shows a remote worker that it sees this folder.

        A worker on another machine compares the content with what it was sent.
        """
        return self.path / WORK / "token"

    @contextmanager
    def record_writer(self, number: int = 0) -> Iterator[RecordWriter]:
        """Open the file of a shard's records; it gets its name once the block has ended.

        Raises:
            UsageError: If there is a file of this name that no run wrote.
            OutputError: If it cannot be written.
        """
        if os.path.lexists(self.part(number)):
            file = str(self.part(number).relative_to(self.path))
            Ownership.of(self.path).check([file], whole=True)
        with open_atomic_bytes(self.part(number)) as stream:
            yield RecordWriter(stream, self.part(number))

    def parts(self) -> list[Path]:
        """Return the paths of the files of records that the manifest plans, in input order.

        Another file in the folder is none of the run's, whatever its name.
        """
        shards = self.read_manifest().get("shards", {"offsets": [0]})
        return [*map(self.part, range(len(shards["offsets"])))]

    def records(self) -> Iterator[str]:
        """Yield the lines of all records, unparsed; bytes that are not UTF-8 become surrogates."""
        for part in self.parts():
            yield from read_lines(part)

    def read_manifest(self) -> dict[str, Any]:
        """Return the manifest without checking it."""
        manifest: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest.

        Raises:
            OutputError: If it cannot be written.
        """
        text = json.dumps(manifest, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
        with open_atomic(self.path / MANIFEST) as stream, output_errors(self.path / MANIFEST):
            stream.write(text + "\n")


def _removal_rank(file: str) -> int:
    return (MANIFEST, LOCK).index(file) + 1 if file in {MANIFEST, LOCK} else 0
