"""What a manifest and a record look like: the first thing in one that is not as a run leaves it."""

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from types import NoneType
from typing import Any, TypeAlias

from saliency_cli.records import SCHEMA, Record
from saliency_cli.runs.summary import Summary
from saliency_cli.safe_text import visible

Kinds: TypeAlias = tuple[type, ...]
Shape: TypeAlias = Mapping[str, Kinds]

_NUMBER: Kinds = (float, int)
_TOP: Shape = {
    "device": (str,),
    "dtype": (str,),
    "threads": (int,),
    "attention": (str,),
    "dtype_error": _NUMBER,
    "matmul_backend": (str,),
    "replicas": (int,),
    "batch_tokens": (int,),
}
MANIFEST_SHAPE: dict[str, Shape] = {
    "versions": {"saliency": (str,)},
    "model": {"name": (str,), "labels": (list,)},
    "method": {"name": (str,), "title": (str,), "is_random": (bool,), "is_signed": (bool,)},
    "input": {"name": (str,)},
    "options": {
        "html_rows": (int,),
        "single_file": (bool,),
        "title": (str, NoneType),
    },
    "hashes": {"input": (str, NoneType), "model": (dict,), "tokenizer": (dict,)},
}
COUNTS_SHAPE: Shape = {
    **{field.name: (*_NUMBER, NoneType) for field in fields(Summary)},
    **dict.fromkeys(("rows", "ok", "quarantined", "truncated"), (int,)),
}
SHARDS_SHAPE: Shape = {"rows": (int,), "offsets": (list,), "lines": (list,)}
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
    "samples": (int, NoneType),
    "flip_rate": (*_NUMBER, NoneType),
    "evaluations": (int,),
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


def manifest_problem(manifest: Any, shapes: Mapping[str, Shape]) -> str | None:  # noqa: ANN401
    """Say why something is no manifest whose parts have these shapes, or None."""
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
    if problem is None and "shards" in shapes:
        problem = _shards_problem(manifest)
    if problem is None and not all(type(label) is str for label in manifest["model"]["labels"]):
        return "model.labels is damaged"
    return problem


def _shards_problem(manifest: Mapping[str, Any]) -> str | None:
    """Say whether every shard has a place, and the plan as many rows as shards can hold."""
    shards, planned = manifest["shards"], manifest.get("planned")
    positions = [*shards["offsets"], *shards["lines"]]
    if {*map(type, positions)} - {int} or len(shards["offsets"]) != len(shards["lines"]):
        return "shards is damaged"
    if type(planned) is not int or len(shards["lines"]) != -(-planned // max(shards["rows"], 1)):
        return "planned is damaged"
    return None


def record_problem(record: Any) -> str | None:  # noqa: ANN401 - what JSON holds
    """Say why something is no record, or None."""
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
