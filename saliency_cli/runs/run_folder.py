"""The folder that a run leaves: records, manifest, and room for the pages.

DIR/index.html, DIR/pages/     written by `report`
DIR/records/part-00000.jsonl   one line per input row, in input order; a file for each shard
DIR/manifest.json              the plan; once the records are whole, with the counts of the run
DIR/work/                      what a run under way needs: lock, receipts, journals, spooled input
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from saliency_cli.atomic_files import PARTIAL, committed, committed_bytes, writing
from saliency_cli.errors import UsageError
from saliency_cli.records import Record
from saliency_cli.safe_text import listed, visible

INDEX = "index.html"
PAGES = "pages"
RECORDS = "records"
MANIFEST = "manifest.json"
WORK = "work"
FOLDERS = (PAGES, RECORDS, WORK)
LOCK = f"{WORK}/lock"
OURS = re.compile(
    r"(index\.html|manifest\.json|records/part-\d{5,}\.jsonl"
    r"|pages/(page-\d{4,}\.html|index-\d{4,}\.js)"
    r"|work/(lock|input|token|\d{5,}\.(json|journal)))(\.tmp)?"
)
"""What a run may have left, and only that is ever removed."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one run keeps what it leaves."""

    path: Path

    def check(self, *, overwrite: bool = False, going_on: bool = False) -> None:
        """See that a run may be written here; nothing is touched yet.

        Raises:
            UsageError: something is here, and is not to be replaced or gone on with, or no run's.
        """
        name = visible(str(self.path))
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_dir()):
            raise UsageError(f"{name} is in the way: --out names a folder")
        there = self._files()
        foreign = [file for file in there if not OURS.fullmatch(file)]
        if foreign:
            raise UsageError(
                f"{name} holds what no run wrote: {listed(foreign)}",
                "name another folder with --out",
            )
        if there and not (overwrite or going_on):
            if self.under_way:
                hint = "add --resume to go on with it, or --overwrite"
                raise UsageError(f"{name} already holds an unfinished run", hint)
            raise UsageError(
                f"{name} already holds a report", "name another with --out, or add --overwrite"
            )

    @property
    def under_way(self) -> bool:
        """Whether a run is being written here, or was and broke off."""
        return (self.path / WORK).is_dir()

    def _files(self) -> list[str]:
        """Return what lies here and in our own folders; bare folders of ours are nothing."""
        if not self.path.exists():
            return []
        entries = set(self.path.iterdir())
        folders = {
            entry
            for entry in entries
            if entry.name in FOLDERS and entry.is_dir() and not entry.is_symlink()
        }
        inside = {file for folder in folders for file in folder.iterdir()}
        return sorted(str(path.relative_to(self.path)) for path in (entries - folders) | inside)

    def clear(self) -> None:
        """Make the folder, empty of an earlier run; but a lock that is held stays."""
        with writing(self.path):
            self._remove(lambda file: file != LOCK)
            for folder in (PAGES, RECORDS):
                if (self.path / folder).exists():
                    (self.path / folder).rmdir()
            (self.path / RECORDS).mkdir(parents=True)

    def clear_pages(self) -> None:
        """Remove the pages of an earlier report, which a smaller one would leave behind.

        Raises:
            UsageError: the folder of the pages is a link, or something else.
            OutputError: they cannot be removed.
        """
        pages = self.path / PAGES
        if pages.is_symlink() or (pages.exists() and not pages.is_dir()):
            raise UsageError(f"{visible(str(pages))} is in the way: it is no folder of a run's")
        with writing(pages):
            self._remove(lambda file: file.startswith(f"{PAGES}/"))

    def clear_work(self) -> None:
        """Remove what a run under way needs."""
        with writing(self.path / WORK):
            self._remove(lambda file: file.startswith(f"{WORK}/"))
            if (self.path / WORK).exists():
                (self.path / WORK).rmdir()

    def clear_partial(self) -> None:
        """Remove the temporary files of a run that died; nobody may be writing here."""
        with writing(self.path):
            self._remove(lambda file: file.endswith(PARTIAL))

    def _remove(self, unwanted: Callable[[str], bool]) -> None:
        """Remove files of ours: the manifest, which says what the rest is, early; the lock last."""
        for file in sorted(self._files(), key=LOCK.__eq__):
            if OURS.fullmatch(file) and unwanted(file):
                (self.path / file).unlink()

    def rollback(self, *, fresh: bool) -> None:
        """Leave nothing of a run that came to nothing; a plan that is laid, or a report, stays.

        A folder that is `fresh` goes with it.
        """
        with suppress(OSError, ValueError):
            if not (self.path / MANIFEST).exists():
                self.clear()
                (self.path / RECORDS).rmdir()
                self.clear_work()
                if fresh:
                    self.path.rmdir()
            elif "counts" in self.read_manifest():
                self.clear_work()

    def part(self, number: int) -> Path:
        """Return the file of a shard's records."""
        return self.path / RECORDS / f"part-{number:05d}.jsonl"

    def receipt(self, number: int) -> Path:
        """Return the file that says what a committed shard holds."""
        return self.path / WORK / f"{number:05d}.json"

    def journal(self, number: int) -> Path:
        """Return the file that says what is being done in a shard."""
        return self.path / WORK / f"{number:05d}.journal"

    @property
    def lock(self) -> Path:
        """The file whose bytes are locked by who writes here."""
        return self.path / LOCK

    @property
    def spool(self) -> Path:
        """The file that an input which can be read only once is copied to."""
        return self.path / WORK / "input"

    @property
    def token(self) -> Path:
        """The file by which a worker on another machine sees that this is the same folder."""
        return self.path / WORK / "token"

    @contextmanager
    def record_writer(self, number: int = 0) -> "Iterator[RecordWriter]":
        """Open the records of a shard; they bear their name once all are written."""
        with committed_bytes(self.part(number)) as stream:
            yield RecordWriter(stream, self.part(number))

    def parts(self) -> list[Path]:
        """Return the files of records, in input order."""
        found = (self.path / RECORDS).glob("part-*.jsonl")
        numbered = {int(path.stem[5:]): path for path in found if path.stem[5:].isdecimal()}
        return [numbered[number] for number in sorted(numbered)]

    def records(self) -> Iterator[str]:
        """Return the lines of the records, unparsed; bytes that are no UTF-8 as surrogates."""
        for part in self.parts():
            yield from lines(part)

    def read_manifest(self) -> dict[str, Any]:
        """Return the manifest."""
        manifest: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest."""
        text = json.dumps(manifest, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
        with committed(self.path / MANIFEST) as stream, writing(self.path / MANIFEST):
            stream.write(text + "\n")


@dataclass(slots=True)
class RecordWriter:
    """Writes one line a record: UTF-8 JSON, sorted keys, finite numbers; and hashes them."""

    stream: IO[bytes]
    path: Path
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, record: Record) -> None:
        """Append one record.

        Raises:
            OutputError: the disk is full, or gone.
        """
        line = record_line(record).encode()
        self.sha256.update(line)
        with writing(self.path):
            self.stream.write(line)


def lines(part: Path) -> Iterator[str]:
    """Return the lines of a file of records."""
    with part.open(encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        yield from stream


def record_line(record: Record) -> str:
    """Return the line of a record: UTF-8 JSON, sorted keys, finite numbers."""
    line = json.dumps(
        record, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return line + "\n"
