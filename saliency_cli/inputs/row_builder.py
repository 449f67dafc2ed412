"""A parsed row and the chosen columns -> a `Row` or, with the reason, a `BadRow`."""

import json
from itertools import chain
from typing import Any

from saliency_cli.inputs.formats.interface import ParsedRow
from saliency_cli.inputs.options import Columns
from saliency_cli.records import BadRow, Row
from saliency_cli.safe_text import encodable, excerpt, visible


def build_row(ordinal: int, row: ParsedRow, columns: Columns) -> Row | BadRow:
    """Return the row that the chosen columns hold, or a bad row if its text cannot be explained.

    Args:
        ordinal: The row's number in the input, counted from 0.
        row: The row as its format read it.
        columns: The names of the columns to use.
    """
    identity = _as_string(row.values.get(columns.id or "id"))
    gold = _as_string(row.values.get(columns.label or "label"))
    slices = tuple((name, _as_string(row.values.get(name)) or "") for name in columns.slices or ())
    text_columns = [columns.text] if columns.pair is None else [columns.text, columns.pair]
    problem = (
        row.problem
        or next(filter(None, (_text_problem(row.values, name) for name in text_columns)), None)
        or _surrogate_problem(identity, gold, *chain(*slices))
    )
    if problem is not None:
        known_id = identity if _surrogate_problem(identity) is None else None
        return BadRow(ordinal, row.line, known_id, problem, _excerpt(row.data), row.size)
    pair = None if columns.pair is None else row.values[columns.pair]
    return Row(ordinal, row.line, identity, row.values[columns.text], gold, row.size, pair, slices)


def _excerpt(data: bytes) -> str:
    return excerpt(data.decode("utf-8", "surrogateescape").rstrip("\r\n"))


def _text_problem(values: dict[str, Any], column: str) -> str | None:
    """Return why the text in a column cannot be explained, or None if it can."""
    text, name = values.get(column), visible(column)
    if text is None:
        return f"{name} is missing"
    if not isinstance(text, str):
        return f"{name} is {_json_type(text)}, not a string"
    return f"{name} is empty" if text == "" else _surrogate_problem(text)


def _surrogate_problem(*texts: str | None) -> str | None:
    r"""Return a reason if a text has a lone surrogate: JSON allows `\ud800`, UTF-8 does not."""
    for text in texts:
        if text is not None and not encodable(text):
            return "holds a lone surrogate"
    return None


def _as_string(value: object) -> str | None:
    """Return an id or label as a string, JSON unless it is one already; None if it is empty."""
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _json_type(value: object) -> str:
    return {bool: "true or false", dict: "an object", list: "a list"}.get(type(value), "a number")
