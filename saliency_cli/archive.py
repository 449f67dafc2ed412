"""A finished run read back: its manifest and its records, seen to be what a run leaves."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias

from saliency_cli.errors import UsageError
from saliency_cli.escapes import encodable, visible
from saliency_cli.records import SCHEMA, Record
from saliency_cli.settings import PageChoice
from saliency_cli.store import MANIFEST, RECORDS, RunFolder, lines
from saliency_cli.summary import Summary

Kinds: TypeAlias = tuple[type, ...]
Shape: TypeAlias = Mapping[str, Kinds]

_NUMBER: Kinds = (float, int)
_TOP: Shape = {
    "seed": (int,),
    "device": (str,),
    "dtype": (str,),
    "threads": (int,),
    "attention": (str,),
    "rounding": _NUMBER,
    "products": (str,),
    "streams": (int,),
    "batch_tokens": (int,),
}
_MANIFEST: dict[str, Shape] = {
    "versions": {"saliency": (str,)},
    "model": {"name": (str,), "labels": (list,)},
    "input": {"name": (str,)},
    "options": {
        "html_rows": (int,),
        "noise": _NUMBER,
        "reduction": (str,),
        "single_file": (bool,),
        "title": (str, NoneType),
    },
    "hashes": {"input": (str, NoneType), "model": (dict,), "tokenizer": (dict,)},
}
_COUNTS: Shape = {
    **{field.name: (*_NUMBER, NoneType) for field in fields(Summary)},
    **dict.fromkeys(("rows", "ok", "quarantined", "truncated"), (int,)),
}
_SHARDS: Shape = {"rows": (int,), "offsets": (list,), "lines": (list,)}
_QUARANTINED: Shape = {
    "ordinal": (int,),
    "id": (str, NoneType),
    "line": (int,),
    "reason": (str,),
    "excerpt": (str,),
}
_TARGET: Shape = {
    "target": (str,),
    "scores": (list,),
    "errors": (list, NoneType),
    "special_share": _NUMBER,
    "samples": (int,),
    "flip_rate": _NUMBER,
}
_OK: Shape = {
    "ordinal": (int,),
    "id": (str, NoneType),
    "text": (str,),
    "pair": (str, NoneType),
    "predicted": (str, NoneType),
    "probability": (*_NUMBER, NoneType),
    "probabilities": (dict,),
    "gold": (str, NoneType),
    "tokens": (list,),
    "offsets": (list,),
    "special": (list,),
    "truncated": (bool,),
    "windows": (int,),
    **_TARGET,
}
_SHAPES: dict[str, Shape] = {"ok": _OK, "quarantined": _QUARANTINED}


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
    shards = {"shards": _SHARDS} if type(manifest) is dict and "shards" in manifest else {}
    _check(manifest, {**_MANIFEST, **shards, "counts": _COUNTS}, folder=folder)
    return Run(folder, manifest)


def read_plan(folder: RunFolder) -> dict[str, Any] | None:
    """Read the manifest of a run, finished or not, to go on with it; None if none was begun.

    Raises:
        UsageError: it is damaged, or of another version.
    """
    manifest = _read(folder)
    if manifest is None:
        return None
    _check(manifest, {**_MANIFEST, "shards": _SHARDS}, folder=folder)
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
    problem = _manifest_problem(manifest, shapes)
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


def _manifest_problem(manifest: Any, shapes: Mapping[str, Shape]) -> str | None:  # noqa: ANN401
    if type(manifest) is not dict:
        return "it is no JSON object"
    if manifest.get("schema") != SCHEMA:
        return (
            f"its schema is {visible(str(manifest.get('schema')))[:40]}, and {SCHEMA} is read here"
        )
    problems = (
        _misshapen(manifest, {part: (dict,)}) or _misshapen(manifest[part], shape, under=f"{part}.")
        for part, shape in shapes.items()
    )
    problem = next(filter(None, problems), None) or _misshapen(manifest, _TOP)
    if problem is None and not all(type(label) is str for label in manifest["model"]["labels"]):
        return "model.labels is damaged"
    return problem


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
    problem = _record_problem(record)
    if problem is not None:
        raise UsageError(f"{where}: {problem}", "explain the texts again")
    known: Record = record
    return known


def _record_problem(record: Any) -> str | None:  # noqa: ANN401 - what JSON holds
    if type(record) is not dict or record.get("schema") != SCHEMA:
        return f"it is no record of schema {SCHEMA}"
    shape = _SHAPES.get(str(record.get("status")))
    if shape is None:
        return "its status is neither ok nor quarantined"
    problem = _misshapen(record, shape)
    if problem is not None or shape is _QUARANTINED:
        return problem
    if not _predicts(record):
        return "predicted, probability, probabilities or value is damaged"
    others = record.get("others", [])
    if type(others) is not list or any(type(other) is not dict for other in others):
        return "others is damaged"
    return _tokens_problem(record) or next(
        filter(None, (_target_problem(each, len(record["tokens"])) for each in (record, *others))),
        None,
    )


def _predicts(record: Record) -> bool:
    """Say whether there is a label with its probability, or else the value of a regression."""
    shares = [*record["probabilities"].values()]
    numbers = [record.get("value")] if record["predicted"] is None else []
    if not numbers:
        shares.append(record["probability"])
    known = all(type(number) in _NUMBER and not _endless(number) for number in (*shares, *numbers))
    return known and all(0 <= share <= 1 for share in shares)


def _misshapen(values: Mapping[str, Any], shape: Shape, *, under: str = "") -> str | None:
    """Name a key that is missing or of another type than it should be."""
    for name, kinds in shape.items():
        if name not in values:
            return f"{under}{name} is missing"
        if type(values[name]) not in kinds or _endless(values[name]):
            return f"{under}{name} is damaged"
    return None


def _endless(value: object) -> bool:
    """Say whether a number has no end, as 1e999, or far too many digits."""
    if type(value) is int:
        return value.bit_length() > 64
    return type(value) is float and not isfinite(value)


def _tokens_problem(record: Record) -> str | None:
    count = len(record["tokens"])
    texts = record["text"], record["pair"]
    segments = record.get("segments", [0] * count)
    names = ("tokens", "offsets", "special")
    if type(segments) is not list or {len(segments), *(len(record[n]) for n in names)} != {count}:
        return "tokens, offsets, special and segments differ in length"
    for name, kind in (("tokens", str), ("special", bool)):
        if {*map(type, record[name])} - {kind}:
            return f"{name} is damaged"
    for offset, segment in zip(record["offsets"], segments, strict=True):
        half = texts[segment] if segment in {0, 1} and type(segment) is int else None
        if half is None or not _spans(offset, len(half)):
            return "offsets or segments is damaged"
    return None


def _spans(offset: Any, length: int) -> bool:  # noqa: ANN401 - what JSON holds
    """Say whether an offset is a stretch of a text of this length."""
    if type(offset) is not list or [*map(type, offset)] != [int, int]:
        return False
    return bool(0 <= offset[0] <= offset[1] <= length)


def _target_problem(target: Mapping[str, Any], count: int) -> str | None:
    problem = _misshapen(target, _TARGET)
    if problem is not None:
        return problem
    for name in ("scores", "errors"):
        values = target[name]
        if values is None:
            continue
        if len(values) != count:
            return f"{name} and tokens differ in length"
        if not {*map(type, values)} <= {*_NUMBER} or any(map(_endless, values)):
            return f"{name} is damaged"
    return None
