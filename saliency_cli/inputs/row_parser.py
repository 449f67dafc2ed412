"""A stretch of the input -> a `Row` or, with its reason, a `BadRow`."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn, TypeAlias

from saliency_cli.inputs.line_splitter import Stretch
from saliency_cli.records import BadRow, Row
from saliency_cli.safe_text import encodable, excerpt, visible
from saliency_cli.settings import Columns

Parsed: TypeAlias = tuple[dict[str, Any], str | None]
"""The columns of a row and the problem that it has, one of which is nothing."""


def parse(stretch: Stretch, header: list[str] | None) -> Parsed:
    """Return what a stretch holds: JSON, or fields under a header."""
    problem = stretch.problem or _undecodable(stretch.data)
    if problem is not None:
        return {}, problem
    if header is None:
        return _parse_json(stretch.data.decode())
    fields = stretch.fields or []
    if len(fields) != len(header):
        return {}, f"{len(fields)} fields where the header has {len(header)}"
    return dict(zip(header, fields, strict=True)), None


def build_row(ordinal: int, stretch: Stretch, parsed: Parsed, columns: Columns) -> Row | BadRow:
    """Return the row that a stretch is, or why it is none."""
    values, problem = parsed
    identity = _scalar(values.get(columns.id or "id"))
    gold = _scalar(values.get(columns.label or "label"))
    parts = [columns.text] if columns.pair is None else [columns.text, columns.pair]
    problems = (_problem(values, column) for column in parts)
    problem = problem or next(filter(None, problems), None) or _surrogate(identity, gold)
    if problem is not None:
        known = identity if _surrogate(identity) is None else None
        shown = _shown(stretch.data)
        return BadRow(ordinal, stretch.line, known, problem, shown, stretch.size)
    text, *pair = (values[column] for column in parts)
    return Row(ordinal, stretch.line, identity, text, gold, stretch.size, *pair)


def _shown(data: bytes) -> str:
    return excerpt(data.decode("utf-8", "surrogateescape").rstrip("\r\n"))


def _problem(values: dict[str, Any], column: str) -> str | None:
    """Say why the text of a row cannot be explained, or None."""
    text, shown = values.get(column), visible(column)
    if text is None:
        return f"{shown} is missing"
    if not isinstance(text, str):
        return f"{shown} is {_kind(text)}, not a string"
    return f"{shown} is empty" if text == "" else _surrogate(text)


def _surrogate(*parts: str | None) -> str | None:
    """Say so where a part holds what JSON can spell and no encoding can write."""
    for part in parts:
        if part is not None and not encodable(part):
            return "holds a lone surrogate"
    return None


def _scalar(value: object) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _kind(value: object) -> str:
    return {bool: "true or false", dict: "an object", list: "a list"}.get(type(value), "a number")


def _parse_json(line: str) -> Parsed:
    try:
        value = json.loads(line, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg} at character {error.pos + 1}"
    except RecursionError:
        return {}, "not readable: nested too deeply"
    except ValueError as error:
        return {}, f"not readable: {error}"
    return (value, None) if isinstance(value, dict) else ({}, "not a JSON object")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    twice = first_twice([key for key, _ in pairs]) if len(values) < len(pairs) else None
    if twice is not None:
        raise ValueError(f"the key '{excerpt(twice)}' stands twice")
    return values


def first_twice(names: Iterable[str]) -> str | None:
    """Return the first name that has stood there before, or None."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _undecodable(data: bytes) -> str | None:
    """Say where the bytes of a row are no UTF-8, or None."""
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start + 1} of the row"
    return None
