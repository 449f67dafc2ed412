"""JSON Lines: every line that is not blank is a row, a JSON object (RFC 8259)."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from saliency_cli.inputs.formats.line_reader import (
    Header,
    LineFormat,
    Parsed,
    first_duplicate,
)
from saliency_cli.inputs.line_splitter import LineGroup
from saliency_cli.safe_text import excerpt

WHITESPACE = b" \t\r\n"
"""What JSON allows between tokens (RFC 8259, section 2); a line of nothing else is blank."""


def drop_blank_lines(lines: Iterator[LineGroup], _delimiter: str = "") -> Iterator[LineGroup]:
    """Yield the lines that are not blank."""
    for line in lines:
        if line.data.strip(WHITESPACE) or line.problem is not None:
            yield line


def parse_json(row: LineGroup, _header: Header) -> Parsed:
    """Return the object on a line and None, or no values and why the line cannot be read.

    Args:
        row: The line, whose bytes are UTF-8.
    """
    try:
        value = json.loads(
            row.data.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        return {}, f"not JSON: {error.msg} at character {error.pos + 1}"
    except RecursionError:
        return {}, "not readable: nested too deeply"
    except ValueError as error:
        return {}, f"not readable: {error}"
    return (value, None) if isinstance(value, dict) else ({}, "not a JSON object")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a dict; raise ValueError if a key occurs more than once."""
    values = dict(pairs)
    if len(values) < len(pairs):
        duplicate = first_duplicate([key for key, _ in pairs])
        raise ValueError(f"the key '{excerpt(duplicate or '')}' stands twice")
    return values


def _refuse_constant(constant: str) -> NoReturn:
    """Raise ValueError: NaN and the infinities are not JSON, though `json` reads them."""
    raise ValueError(f"{constant} is no JSON number")


JSON_LINES = LineFormat((".jsonl", ".ndjson"), drop_blank_lines, parse_json)
