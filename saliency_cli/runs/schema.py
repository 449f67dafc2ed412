"""The expected shape of manifests and records, and functions that return the first deviation."""

from collections.abc import Mapping
from math import isfinite
from types import NoneType
from typing import Any, TypeAlias

from saliency_cli.records import SCHEMA, Record
from saliency_cli.runs.figures_schema import figures_problem, gold_problem
from saliency_cli.runs.gates_schema import gates_problem
from saliency_cli.runs.summary import NESTED, NUMBERS
from saliency_cli.safe_text import visible

Kinds: TypeAlias = tuple[type, ...]
Shape: TypeAlias = Mapping[str, Kinds]
"""The types that each key of an object may have. Keys that are not listed are not checked."""

_NUMBER: Kinds = (float, int)
_LARGEST_NUMBER = 2**64
_MANIFEST_KEYS: Shape = {
    "device": (str,),
    "dtype": (str,),
    "attention": (str,),
    "dtype_error": _NUMBER,
    "matmul_backend": (str,),
    "batch_tokens": (int,),
}
MANIFEST_SHAPE: dict[str, Shape] = {
    "versions": {"saliency": (str,)},
    "model": {"name": (str,), "labels": (list,)},
    "method": {"name": (str,), "title": (str,), "is_random": (bool,), "is_signed": (bool,)}
    | {"has_flip_rate": (bool,), "is_complete": (bool,), "removed_by": (str, NoneType)},
    "input": {"name": (str,)},
    "options": {
        "html_rows": (int,),
        "single_file": (bool,),
        "title": (str, NoneType),
    },
    "hashes": {"input": (str, NoneType), "model": (dict,), "tokenizer": (dict,)},
}
COUNTS_SHAPE: Shape = {
    **dict.fromkeys(NUMBERS, (*_NUMBER, NoneType)),
    **dict(zip(NESTED, ((list,), (dict,), (dict,)), strict=True)),
    **dict.fromkeys(("rows", "ok", "quarantined", "truncated", "gold_rows", "gold_known"), (int,)),
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
_COMPLETENESS: Shape = {"sum": _NUMBER, "difference": _NUMBER, "gap": _NUMBER}
_CHECK: Shape = {
    "word": (str,),
    "spans": (list,),
    "probability": (*_NUMBER, NoneType),
    "by": (str,),
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
    """Return what is wrong with a manifest, or None.

    Args:
        manifest: The parsed file.
        shapes: The shape of each object in the manifest, by its key.
    """
    if type(manifest) is not dict:
        return "it is not a JSON object"
    if manifest.get("schema") != SCHEMA:
        schema = visible(str(manifest.get("schema")))[:40]
        return f"its schema is {schema}, but this version reads schema {SCHEMA}"
    problems = (
        _shape_problem(manifest, {key: (dict,)})
        or _shape_problem(manifest[key], shape, prefix=f"{key}.")
        for key, shape in shapes.items()
    )
    problem = next(filter(None, problems), None) or _shape_problem(manifest, _MANIFEST_KEYS)
    problem = problem or _range_problem(manifest) or gates_problem(manifest)
    if problem is None and "shards" in shapes:
        problem = _shards_problem(manifest)
    if problem is None and "counts" in shapes:
        problem = _counts_problem(manifest["counts"])
    if problem is None and not all(type(label) is str for label in manifest["model"]["labels"]):
        return "model.labels is damaged"
    return problem


def _range_problem(manifest: Mapping[str, Any]) -> str | None:
    """Return which number of a manifest no run can have, or None."""
    ranges = {
        "batch_tokens": (manifest["batch_tokens"], 1, _LARGEST_NUMBER),
        "options.html_rows": (manifest["options"]["html_rows"], 0, _LARGEST_NUMBER),
    }
    for name, (number, least, most) in ranges.items():
        if not least <= number <= most:
            return f"{name} is out of range"
    return None


def _counts_problem(counts: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the numbers of a summary, or None."""
    for name, value in counts.items():
        least = -1 if name == "pearson" else 0
        if type(value) in _NUMBER and not least <= value <= _LARGEST_NUMBER:
            return f"counts.{name} is out of range"
    if counts["rows"] != counts["ok"] + counts["quarantined"]:
        return "counts.rows is not the sum of ok and quarantined"
    if counts["ok"] and counts["special_share"] is None:
        return "counts.special_share is damaged"
    return figures_problem(counts)


def _shards_problem(manifest: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the shards' positions or with the number of planned rows."""
    shards, planned = manifest["shards"], manifest.get("planned")
    positions = [*shards["offsets"], *shards["lines"]]
    if {*map(type, positions)} - {int} or len(shards["offsets"]) != len(shards["lines"]):
        return "shards is damaged"
    if type(planned) is not int or len(shards["lines"]) != -(-planned // max(shards["rows"], 1)):
        return "planned is damaged"
    return None


def record_problem(record: Any) -> str | None:  # noqa: ANN401 - any JSON value
    """Return what is wrong with a record, or None."""
    if type(record) is not dict or record.get("schema") != SCHEMA:
        return f"it is not a record of schema {SCHEMA}"
    shape = _SHAPES.get(str(record.get("status")))
    if shape is None:
        return "its status is neither ok nor quarantined"
    problem = _shape_problem(record, shape)
    if problem is not None or shape is _QUARANTINED:
        return problem
    if not _has_valid_prediction(record):
        return "predicted, probability, probabilities or value is damaged"
    others = record.get("others", [])
    if type(others) is not list or any(type(other) is not dict for other in others):
        return "others is damaged"
    return (
        _tokens_problem(record)
        or gold_problem(record)
        or _checks_problem(record.get("checks", []))
        or next(
            filter(
                None, (_target_problem(each, len(record["tokens"])) for each in (record, *others))
            ),
            None,
        )
    )


def _checks_problem(checks: object) -> str | None:
    """Return what is wrong with the checks of a record's words, or None."""
    if type(checks) is not list or any(type(check) is not dict for check in checks):
        return "checks is damaged"
    problems = (_shape_problem(check, _CHECK, prefix="checks.") for check in checks)
    return next(filter(None, problems), None)


def _has_valid_prediction(record: Record) -> bool:
    """Whether a record has a label with its probability, or the value of a regression."""
    probabilities = [*record["probabilities"].values()]
    numbers = [record.get("value")] if record["predicted"] is None else []
    if not numbers:
        probabilities.append(record["probability"])
    valid = all(
        type(number) in _NUMBER and not _out_of_range(number)
        for number in (*probabilities, *numbers)
    )
    return valid and all(0 <= probability <= 1 for probability in probabilities)


def _shape_problem(values: Mapping[str, Any], shape: Shape, *, prefix: str = "") -> str | None:
    """Return a message on the first key that is missing or has a wrong value; None if all fit."""
    for name, kinds in shape.items():
        if name not in values:
            return f"{prefix}{name} is missing"
        if type(values[name]) not in kinds or _out_of_range(values[name]):
            return f"{prefix}{name} is damaged"
    return None


def _out_of_range(value: object) -> bool:
    """Whether a value is a number that is not finite, such as 1e999, or has more than 64 bits."""
    if type(value) is int:
        return value.bit_length() > 64
    return type(value) is float and not isfinite(value)


def _tokens_problem(record: Record) -> str | None:
    """Return what is wrong with the fields that have one item per token, or None."""
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
        text = texts[segment] if segment in {0, 1} and type(segment) is int else None
        if text is None or not _is_span(offset, len(text)):
            return "offsets or segments is damaged"
    return None


def _is_span(offset: Any, length: int) -> bool:  # noqa: ANN401 - any JSON value
    """Whether `offset` is a pair [start, end] inside a text of this length."""
    if type(offset) is not list or [*map(type, offset)] != [int, int]:
        return False
    return bool(0 <= offset[0] <= offset[1] <= length)


def _target_problem(target: Mapping[str, Any], count: int) -> str | None:
    """Return what is wrong with the scores of a target of a text with `count` tokens, or None."""
    problem = _shape_problem(target, _TARGET)
    if problem is not None:
        return problem
    for name in ("scores", "errors"):
        values = target[name]
        if values is None:
            continue
        if len(values) != count:
            return f"{name} and tokens differ in length"
        if not {*map(type, values)} <= {*_NUMBER} or any(map(_out_of_range, values)):
            return f"{name} is damaged"
    if "completeness" not in target:
        return None
    if type(target["completeness"]) is not dict:
        return "completeness is damaged"
    return _shape_problem(target["completeness"], _COMPLETENESS, prefix="completeness.")
