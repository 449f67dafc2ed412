"""The folder that a run leaves: records, manifest, and room for the pages.

DIR/index.html, DIR/pages/     written by `report`
DIR/records/part-00000.jsonl   one line per input row, in input order
DIR/manifest.json              written once the records are whole
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, AnyStr

from saliency_cli.errors import OutputError, UsageError
from saliency_cli.escapes import listed, visible
from saliency_cli.records import Record

INDEX = "index.html"
PAGES = "pages"
RECORDS = "records"
MANIFEST = "manifest.json"
PARTIAL = ".tmp"
FOLDERS = (PAGES, RECORDS)
OURS = re.compile(
    r"(index\.html|manifest\.json|records/part-\d{5}\.jsonl"
    r"|pages/(page-\d{4,}\.html|index-\d{4,}\.js))(\.tmp)?"
)
"""What a run may have left, and only that is ever removed."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one run keeps what it leaves."""

    path: Path

    def check(self, *, overwrite: bool) -> None:
        """See that a run may be written here; nothing is touched yet.

        Raises:
            UsageError: something is here, and is not to be replaced or not a run's.
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
        if there and not overwrite:
            raise UsageError(
                f"{name} already holds a report", "name another with --out, or add --overwrite"
            )

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
        """Make the folder, empty of an earlier run."""
        with writing(self.path):
            for file in self._files():  # the manifest, which says that a run is whole, goes early
                (self.path / file).unlink()
            for folder in FOLDERS:
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
        ours = [file for file in self._files() if OURS.fullmatch(file)]
        with writing(pages):
            for file in ours:
                if file.startswith(f"{PAGES}/"):
                    (self.path / file).unlink()

    @property
    def part(self) -> Path:
        """The file of records."""
        return self.path / RECORDS / "part-00000.jsonl"

    @contextmanager
    def record_writer(self) -> "Iterator[RecordWriter]":
        """Open the records; they bear their name once all are written."""
        with committed(self.part) as stream:
            yield RecordWriter(stream, self.part)

    def records(self) -> Iterator[str]:
        """Return the lines of the records, unparsed; bytes that are no UTF-8 as surrogates."""
        with self.part.open(encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
            yield from stream

    def read_manifest(self) -> dict[str, Any]:
        """Return the manifest."""
        manifest: dict[str, Any] = json.loads((self.path / MANIFEST).read_text(encoding="utf-8"))
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write the manifest."""
        text = json.dumps(manifest, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
        with committed(self.path / MANIFEST) as stream, writing(self.path / MANIFEST):
            stream.write(text + "\n")


@dataclass(frozen=True, slots=True)
class RecordWriter:
    """Writes one line a record: UTF-8 JSON, sorted keys, finite numbers."""

    stream: IO[str]
    path: Path

    def write(self, record: Record) -> None:
        """Append one record.

        Raises:
            OutputError: the disk is full, or gone.
        """
        line = record_line(record)
        with writing(self.path):
            self.stream.write(line)


def record_line(record: Record) -> str:
    """Return the line of a record: UTF-8 JSON, sorted keys, finite numbers."""
    line = json.dumps(
        record, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return line + "\n"


def committed(path: Path) -> AbstractContextManager[IO[str]]:
    """Open a text file that takes its name only when it was written whole.

    Raises:
        OutputError: it cannot be written.
    """
    return _committed(path, lambda file: file.open("w", encoding="utf-8", newline="\n"))


def committed_bytes(path: Path) -> AbstractContextManager[IO[bytes]]:
    """Open a binary file that takes its name only when it was written whole.

    Raises:
        OutputError: it cannot be written.
    """
    return _committed(path, lambda file: file.open("wb"))


@contextmanager
def _committed(path: Path, opened: Callable[[Path], IO[AnyStr]]) -> Iterator[IO[AnyStr]]:
    temporary = path.with_name(path.name + PARTIAL)
    with ExitStack() as stack:
        stack.callback(_abandon, temporary.unlink)
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = opened(temporary)
        stack.callback(_abandon, stream.close)
        yield stream
        with writing(path):
            stream.close()
            temporary.replace(path)


def _abandon(step: Callable[[], object]) -> None:
    """Clean up after what failed, or find it clean: that a step cannot be done is no news."""
    with suppress(OSError):
        step()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says of a failed write into an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{visible(str(path))} cannot be written: {error.strerror}") from error
