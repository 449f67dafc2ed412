"""Read a finished run: its manifest and its records, each checked before it is used."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from saliency_cli.errors import UsageError
from saliency_cli.records import Record
from saliency_cli.runs.ownership import MANIFEST, RECORDS, sha256_of
from saliency_cli.runs.plain_files import check_plain
from saliency_cli.runs.record_lines import read_lines
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.schema import (
    COUNTS_SHAPE,
    MANIFEST_SHAPE,
    SHARDS_SHAPE,
    Shape,
    manifest_problem,
    record_problem,
)
from saliency_cli.runs.summary import Summary
from saliency_cli.runs.suspects_file import read_suspects
from saliency_cli.safe_text import encodable, visible
from saliency_cli.settings import PageChoice

_EXPLAIN_AGAIN = "explain the texts again with --overwrite"
_ELSEWHERE = "explain the texts again into another folder"


class Location(NamedTuple):
    """Where the line of a record is: the number of its file, and its first byte."""

    part: int
    offset: int


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run; its records are read from the disk one at a time, each time they are needed.

    Attributes:
        folder: The run folder.
        manifest: The checked manifest.
    """

    folder: RunFolder
    manifest: dict[str, Any]

    @property
    def summary(self) -> Summary:
        """The summary that the manifest holds."""
        counts = self.manifest["counts"]
        return Summary(**{field.name: counts[field.name] for field in fields(Summary)})

    @property
    def is_signed(self) -> bool:
        """Whether the sign of a score says for or against the target."""
        return bool(self.manifest["method"]["is_signed"])

    def page_choice(self, changes: Mapping[str, Any], *, template_dir: Path | None) -> PageChoice:
        """Return how the pages are rendered: as the run was asked for, with these changes.

        Args:
            changes: Values by option name; None keeps the value of the run.
            template_dir: A folder of the user's own templates, or None.
        """
        options = {name: self.manifest["options"][name] for name in changes}
        changed = {name: value for name, value in changes.items() if value is not None}
        return PageChoice(**{**options, **changed}, template_dir=template_dir)

    def records(self) -> Iterator[Record]:
        """Yield the records in input order.

        Raises:
            UsageError: If a record is damaged, or their number differs from the manifest's.
        """
        for _location, record in self.located_records():
            yield record

    def located_records(self) -> Iterator[tuple[Location, Record]]:
        """Yield where each record is, and the record, in input order.

        Raises:
            UsageError: As `records`.
        """
        count, is_planned = 0, "planned" in self.manifest
        for part_number, part in enumerate(self._parts()):
            offset = 0
            for number, line in enumerate(read_lines(part), 1):
                where = f"{_visible_path(part)}, line {number}"
                record = _read_record(line, where=where)
                if is_planned and record["ordinal"] != count:
                    problem = f"its ordinal is {record['ordinal']}, and must be {count}"
                    raise UsageError(f"{where}: {problem}", _EXPLAIN_AGAIN)
                yield Location(part_number, offset), record
                offset += len(line.encode("utf-8", "surrogateescape"))
                count += 1
        rows = self.manifest["counts"]["rows"]
        if count != rows:
            raise UsageError(
                f"{_visible_path(self.folder.path / RECORDS)} holds {count} records, "
                f"but {MANIFEST} counts {rows} rows",
                _EXPLAIN_AGAIN,
            )

    def record(self, ordinal: int) -> Record:
        """Return the record of one row; of its part, only the lines before it are read.

        Args:
            ordinal: The row's number, which the run has.

        Raises:
            UsageError: If the record is damaged, or there is no such line.
        """
        shard_rows = self.manifest["shards"]["rows"] if "shards" in self.manifest else ordinal + 1
        part = self.folder.part(ordinal // shard_rows)
        check_plain(part)
        where = f"{_visible_path(part)}, line {ordinal % shard_rows + 1}"
        line = next(islice(read_lines(part), ordinal % shard_rows, None), "")
        return _read_record(line, where=where)

    def _parts(self) -> Iterator[Path]:
        """Yield the files of records.

        Raises:
            UsageError: If one of them is missing, or is a link or another special file.
        """
        shards = self.manifest.get("shards", {"offsets": [0]})
        for part in map(self.folder.part, range(len(shards["offsets"]))):
            check_plain(part)
            if not part.is_file():
                raise UsageError(f"{_visible_path(part)}: there is no such file", _EXPLAIN_AGAIN)
            yield part

    def check_parts(self) -> None:
        """Check that each file of records is the one that the run wrote, by its SHA-256.

        Raises:
            UsageError: If one of them differs, is missing, or is a special file.
        """
        parts = [*self._parts()]
        if "shards" not in self.manifest:  # it has no hashes to compare
            return
        hashes = self.manifest["shards"].get("sha256")
        if type(hashes) is not list or len(hashes) != len(parts):
            raise UsageError(
                f"{_visible_path(self.folder.path / MANIFEST)}: shards.sha256 is damaged",
                _EXPLAIN_AGAIN,
            )
        for part, expected in zip(parts, hashes, strict=True):
            if sha256_of(part) != expected:
                raise UsageError(
                    f"{_visible_path(part)} is not the file that the run wrote: its SHA-256 "
                    f"differs from the one in {MANIFEST}",
                    "repair it: repeat the saliency explain command with --resume",
                )

    def check_records(self) -> None:
        """Read all records once, so that a damaged one is found before any output is written.

        Raises:
            UsageError: If a record is damaged, or their number differs from the manifest's.
        """
        for _record in self.records():
            pass


def open_run(path: Path) -> FinishedRun:
    """Return the finished run in a folder, after a check of its manifest and its records' hashes.

    Raises:
        UsageError: If there is no finished run in the folder, its manifest is damaged, or another
            version of this package wrote it.
    """
    if not path.is_dir():
        raise UsageError(f"{_visible_path(path)}: there is no such folder")
    folder = RunFolder(path)
    manifest = _read_manifest(folder)
    if manifest is None:
        raise UsageError(
            f"{_visible_path(path)} holds no finished run: it has no {MANIFEST}",
            "use a folder that saliency explain wrote with --out",
        )
    if type(manifest) is dict and "planned" in manifest and "counts" not in manifest:
        raise UsageError(
            f"{_visible_path(path)} holds a run that is not finished",
            "repeat its saliency explain command with --resume",
        )
    shards = {"shards": SHARDS_SHAPE} if type(manifest) is dict and "shards" in manifest else {}
    _check_manifest(manifest, {**MANIFEST_SHAPE, **shards, "counts": COUNTS_SHAPE}, folder=folder)
    run = FinishedRun(folder, manifest)
    run.check_parts()
    read_suspects(folder)
    return run


def read_checked_manifest(folder: RunFolder) -> dict[str, Any] | None:
    """Read and check the manifest of a run, finished or not; return None if there is none.

    Raises:
        UsageError: If it is damaged, or another version of this package wrote it.
    """
    manifest = _read_manifest(folder)
    if manifest is None:
        return None
    _check_manifest(manifest, {**MANIFEST_SHAPE, "shards": SHARDS_SHAPE}, folder=folder)
    checked: dict[str, Any] = manifest
    return checked


def _read_manifest(folder: RunFolder) -> Any:  # noqa: ANN401 - any JSON value
    file = folder.path / MANIFEST
    check_plain(file)
    try:
        return _parse_json(file.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError(f"{_visible_path(file)} is damaged: {error}", _ELSEWHERE) from None


def _check_manifest(manifest: Any, shapes: Mapping[str, Shape], *, folder: RunFolder) -> None:  # noqa: ANN401
    problem = manifest_problem(manifest, shapes)
    if problem is not None:
        message = f"{_visible_path(folder.path / MANIFEST)}: {problem}"
        raise UsageError(message, _manifest_hint(manifest))


def _visible_path(path: Path) -> str:
    return visible(str(path))


def _parse_json(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Parse strict JSON.

    Raises:
        ValueError: If it is not JSON, holds a lone surrogate, or is nested too deeply.
    """
    if not encodable(text):
        raise ValueError("it is not UTF-8")
    try:
        value = json.loads(text, parse_constant=_reject_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\ud" in text.lower() and not encodable(json.dumps(value, ensure_ascii=False)):
        raise ValueError("it holds half of a surrogate pair")
    return value


def _reject_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not valid JSON")


def _manifest_hint(manifest: Any) -> str:  # noqa: ANN401 - any JSON value
    if type(manifest) is dict and type(manifest.get("schema")) is int:
        return f"use the version of saliency that wrote it, or {_EXPLAIN_AGAIN}"
    return _EXPLAIN_AGAIN


def _read_record(line: str, *, where: str) -> Record:
    """Parse and check the line of a record.

    Raises:
        UsageError: If it is damaged; the message begins with `where`.
    """
    try:
        record = _parse_json(line)
    except ValueError as error:
        raise UsageError(f"{where} is damaged: {error}", _EXPLAIN_AGAIN) from None
    problem = record_problem(record)
    if problem is not None:
        raise UsageError(f"{where}: {problem}", _EXPLAIN_AGAIN)
    checked: Record = record
    return checked
