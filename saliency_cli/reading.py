"""CSV, TSV or JSONL -> an iterator of rows, in memory that does not grow with the file.

Every row of the input comes out once: as a `Row` or, with its reason, as a `BadRow`. Only an input
that cannot be read at all, or that lacks the columns asked for, is an error.
"""

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from saliency_cli.errors import UsageError
from saliency_cli.escapes import encodable, excerpt, visible
from saliency_cli.records import BadRow, Row
from saliency_cli.settings import Columns, TextsChoice
from saliency_cli.sources import STDIN, Lines, Tally, open_bytes

SUFFIXES = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
HEAD = 100
"""Rows looked at before a column is declared absent (JSON objects need not all have it)."""
JSON_SPACE = " \t\r\n"
"""What a blank line may hold (RFC 8259, section 2)."""
FIELD_LIMIT = 8 << 20
"""Characters in one CSV field; a quote left open swallows no more than this before it is found."""


@dataclass(frozen=True, slots=True)
class Source:
    """An open input: its name and size for a person, its rows for the engine."""

    name: str
    size: int | None
    rows: Iterator[Row | BadRow]
    _tally: Tally
    _limited: bool

    def sha256(self) -> str | None:
        """Return the hash of the whole input, or None for a stream that need not end."""
        return None if self._limited and self.size is None else self._tally.hexdigest()


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What a format made of one row: its columns, or the problem that it had."""

    line: int
    size: int
    raw: str
    values: dict[str, Any]
    problem: str | None = None


@contextmanager
def open_texts(choice: TextsChoice) -> Iterator[Source]:
    """Open the input, and look at its first rows for the columns asked for.

    Raises:
        UsageError: it is not there, is no text, holds no row, or lacks a column asked for.
    """
    parse = FORMATS[_format(choice)]
    name = STDIN if choice.path == STDIN else Path(choice.path).name
    with open_bytes(choice.path) as raw:
        tally = Tally(raw)
        lines = Lines(tally, name)
        parsed = itertools.chain(parse(lines, name), _breakage(lines))
        head = list(itertools.islice(parsed, HEAD))
        _check_columns(head, columns=choice.columns, name=name)
        rows = _rows(itertools.chain(head, parsed), choice.columns)
        limited = itertools.islice(rows, choice.limit)
        yield Source(name, _size(choice.path), limited, tally, choice.limit is not None)


def _format(choice: TextsChoice) -> str:
    if choice.format is not None:
        return choice.format
    if choice.path == STDIN:
        return "jsonl"
    suffix = Path(choice.path.removesuffix(".gz")).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    raise UsageError(
        f"{visible(choice.path)}: the suffix names no format",
        f"name the file {' '.join(SUFFIXES)}, each also .gz, or add --input-format",
    )


def _size(path: str) -> int | None:
    file = Path(path)
    return file.stat().st_size if path != STDIN and file.is_file() else None


def _check_columns(head: list[_Parsed], *, columns: Columns, name: str) -> None:
    if not head:
        raise UsageError(f"{visible(name)} holds no row", "give a file with at least one text")
    there = list(dict.fromkeys(key for parsed in head for key in parsed.values))
    if not there:
        return
    for column in (columns.text, columns.pair, columns.label, columns.id):
        if column is not None and column not in there:
            raise UsageError(
                f"{visible(name)} has no column '{visible(column)}'",
                "its columns are " + ", ".join(map(visible, there)),
            )


def _rows(parsed: Iterable[_Parsed], columns: Columns) -> Iterator[Row | BadRow]:
    for ordinal, row in enumerate(parsed):
        yield _row(ordinal, row, columns)


def _row(ordinal: int, parsed: _Parsed, columns: Columns) -> Row | BadRow:
    identity = _scalar(parsed.values.get(columns.id or "id"))
    gold = _scalar(parsed.values.get(columns.label or "label"))
    parts = [columns.text] if columns.pair is None else [columns.text, columns.pair]
    problems = (_problem(parsed.values, column) for column in parts)
    problem = parsed.problem or next(filter(None, problems), None) or _surrogate(identity, gold)
    if problem is not None:
        known = identity if _surrogate(identity) is None else None
        return BadRow(ordinal, parsed.line, known, problem, excerpt(parsed.raw), parsed.size)
    text, *pair = (parsed.values[column] for column in parts)
    return Row(ordinal, parsed.line, identity, text, gold, parsed.size, *pair)


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


def _breakage(lines: Lines) -> Iterator[_Parsed]:
    """Account for what lies behind a stream that broke off, as one row of its own."""
    if lines.broken is not None:
        lines.begin()
        problem = f"the input breaks off: {lines.broken}"
        yield _Parsed(lines.first, lines.take_size(), "", {}, problem)


def _jsonl(lines: Lines, _name: str) -> Iterator[_Parsed]:
    lines.begin()
    for line in lines:
        if line.strip(JSON_SPACE):
            values, problem = _parse_json(line)
            yield _Parsed(lines.first, lines.take_size(), lines.raw(), values, problem)
        lines.begin()


def _parse_json(line: str) -> tuple[dict[str, Any], str | None]:
    problem = _undecodable(line)
    if problem is not None:
        return {}, problem
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
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{visible(twice)}' stands twice")
    return values


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _undecodable(raw: str) -> str | None:
    """Say where the bytes of a row are no UTF-8, or None."""
    if raw.isascii():
        return None
    try:
        raw.encode()
    except UnicodeEncodeError as error:
        return f"not UTF-8 at byte {len(raw[: error.start].encode()) + 1} of the row"
    return None


def _csv(lines: Lines, name: str) -> Iterator[_Parsed]:
    return _delimited(lines, name, delimiter=",")


def _tsv(lines: Lines, name: str) -> Iterator[_Parsed]:
    return _delimited(lines, name, delimiter="\t")


def _delimited(lines: Lines, name: str, *, delimiter: str) -> Iterator[_Parsed]:
    """Read RFC 4180 with a header; a malformed quote costs its own line and no other."""
    csv.field_size_limit(FIELD_LIMIT)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        lines.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.give_back()
            if header is None:
                raise UsageError(f"{visible(name)}: the header is malformed: {error}") from None
            yield _Parsed(lines.first, lines.take_size(), lines.raw(), {}, f"malformed: {error}")
            continue
        if header is None:
            header = _header(fields, name) if fields else None
        elif fields:
            yield _fields(lines, fields, header)


def _header(fields: list[str], name: str) -> list[str]:
    for field in fields:
        if fields.count(field) > 1:
            raise UsageError(f"{visible(name)}: the column '{visible(field)}' stands twice")
    return fields


def _fields(lines: Lines, fields: list[str], header: list[str]) -> _Parsed:
    raw = lines.raw()
    problem = _undecodable(raw)
    if problem is None and len(fields) != len(header):
        problem = f"{len(fields)} fields where the header has {len(header)}"
    values = {} if problem else dict(zip(header, fields, strict=True))
    return _Parsed(lines.first, lines.take_size(), raw, values, problem)


FORMATS: dict[str, Callable[[Lines, str], Iterator[_Parsed]]] = {
    "csv": _csv,
    "tsv": _tsv,
    "jsonl": _jsonl,
}
