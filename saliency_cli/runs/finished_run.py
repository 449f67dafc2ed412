"""A finished run read back: its manifest and its records, seen to be what a run leaves."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from saliency_cli.errors import UsageError
from saliency_cli.records import Record
from saliency_cli.runs.run_folder import MANIFEST, RECORDS, RunFolder, lines
from saliency_cli.runs.schema import (
    COUNTS_SHAPE,
    MANIFEST_SHAPE,
    SHARDS_SHAPE,
    Shape,
    manifest_problem,
    record_problem,
)
from saliency_cli.runs.summary import Summary
from saliency_cli.safe_text import encodable, visible
from saliency_cli.settings import PageChoice


@dataclass(frozen=True, slots=True)
class Run:
    """What a finished run left; its records are read anew, one at a time, whenever asked for."""

    folder: RunFolder
    manifest: dict[str, Any]

    @property
    def summary(self) -> Summary:
        """The run in a few numbers."""
        return Summary(
            **{field.name: self.manifest["counts"][field.name] for field in fields(Summary)}
        )

    def pages(self, given: Mapping[str, Any], *, template_dir: Path | None) -> PageChoice:
        """Return the pages that the run was asked for, but for what is given."""
        asked = {name: self.manifest["options"][name] for name in given}
        changed = {name: value for name, value in given.items() if value is not None}
        return PageChoice(**{**asked, **changed}, template_dir=template_dir)

    def records(self) -> Iterator[Record]:
        """Read the records, in input order.

        Raises:
            UsageError: one is damaged, or there are not as many as the manifest says.
        """
        count = 0
        for part in self._parts():
            for number, line in enumerate(lines(part), 1):
                yield _record(line, where=f"{_shown(part)}, line {number}")
                count += 1
        rows = self.manifest["counts"]["rows"]
        if count != rows:
            raise UsageError(
                f"{_shown(self.folder.path / RECORDS)} holds {count} records, "
                f"and {MANIFEST} counts {rows} rows",
                "explain the texts again",
            )

    def _parts(self) -> Iterator[Path]:
        """Yield the files of records, having seen that none is missing."""
        shards = self.manifest.get("shards", {"offsets": [0]})
        for part in map(self.folder.part, range(len(shards["offsets"]))):
            if not part.is_file():
                problem = f"{_shown(part)}: there is no such file"
                raise UsageError(problem, "explain the texts again")
            yield part

    def check(self) -> None:
        """See that every record can be read, before something is made of the first.

        Raises:
            UsageError: one is damaged, or there are not as many as the manifest says.
        """
        for _record in self.records():
            pass


def open_run(path: Path) -> Run:
    """Read the manifest of the run in a folder.

    Raises:
        UsageError: it is no folder of a finished run, or one that this version does not read.
    """
    if not path.is_dir():
        raise UsageError(f"{_shown(path)}: there is no such folder")
    folder = RunFolder(path)
    manifest = _read(folder)
    if manifest is None:
        raise UsageError(
            f"{_shown(path)} holds no finished run: it has no {MANIFEST}",
            "name a folder that saliency explain left with --out",
        )
    if type(manifest) is dict and "planned" in manifest and "counts" not in manifest:
        raise UsageError(
            f"{_shown(path)} holds a run that is not finished",
            "go on with it: saliency explain with --resume",
        )
    shards = {"shards": SHARDS_SHAPE} if type(manifest) is dict and "shards" in manifest else {}
    _check(manifest, {**MANIFEST_SHAPE, **shards, "counts": COUNTS_SHAPE}, folder=folder)
    return Run(folder, manifest)


def read_plan(folder: RunFolder) -> dict[str, Any] | None:
    """Read the manifest of a run, finished or not, to go on with it; None if none was begun.

    Raises:
        UsageError: it is damaged, or of another version.
    """
    manifest = _read(folder)
    if manifest is None:
        return None
    _check(manifest, {**MANIFEST_SHAPE, "shards": SHARDS_SHAPE}, folder=folder)
    plan: dict[str, Any] = manifest
    return plan


def _read(folder: RunFolder) -> Any:  # noqa: ANN401 - what JSON holds
    file = folder.path / MANIFEST
    try:
        return _parse(file.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError(f"{_shown(file)} is damaged: {error}", "explain the texts again") from None


def _check(manifest: Any, shapes: Mapping[str, Shape], *, folder: RunFolder) -> None:  # noqa: ANN401
    problem = manifest_problem(manifest, shapes)
    if problem is not None:
        raise UsageError(f"{_shown(folder.path / MANIFEST)}: {problem}", _hint(manifest))


def _shown(path: Path) -> str:
    return visible(str(path))


def _parse(text: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Read strict JSON.

    Raises:
        ValueError: it is something else, holds half a surrogate pair, or is nested too deeply.
    """
    if not encodable(text):
        raise ValueError("it is no UTF-8")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if "\\ud" in text.lower() and not encodable(json.dumps(value, ensure_ascii=False)):
        raise ValueError("it holds half of a surrogate pair")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _hint(manifest: Any) -> str:  # noqa: ANN401 - what JSON holds
    if type(manifest) is dict and type(manifest.get("schema")) is int:
        return "use the version of saliency that wrote it, or explain the texts again"
    return "explain the texts again"


def _record(line: str, *, where: str) -> Record:
    """Read one record."""
    try:
        record = _parse(line)
    except ValueError as error:
        raise UsageError(f"{where} is damaged: {error}", "explain the texts again") from None
    problem = record_problem(record)
    if problem is not None:
        raise UsageError(f"{where}: {problem}", "explain the texts again")
    known: Record = record
    return known
