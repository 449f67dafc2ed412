"""Strict JSON for configs: anything that two parsers could read differently is refused."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.file_checks import check_file
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible

MAX_JSON_BYTES = 64 << 20
"""Ten times the size of a config with 100,000 labels."""


def read_object(path: Path, *, what: str, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Args:
        path: The file.
        what: What the file should be, with its article, for messages: "the config".
        max_bytes: The largest size allowed, in bytes.

    Returns:
        The object. Keys of every nested object are unique, and all numbers are finite.

    Raises:
        CheckpointError: The file is not JSON, holds another JSON type, exceeds `max_bytes`,
            repeats a key, or has a number that is NaN or infinite.
        OSError: The file does not exist.
    """
    content = _read(path, what=what, max_bytes=max_bytes)
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{visible(str(path))} holds a {type(content).__name__}, not a JSON object"
        )
    return content


def read_objects(path: Path, *, what: str) -> list[dict[str, Any]]:
    """Read a file that holds a JSON list of objects, as strictly as `read_object` does.

    Args:
        path: The file.
        what: What the file should be, with its article, for messages.

    Raises:
        CheckpointError: As `read_object` does.
        OSError: The file does not exist.
    """
    content = _read(path, what=what, max_bytes=MAX_JSON_BYTES)
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise CheckpointError(f"{visible(str(path))} holds no list of JSON objects")
    return content


def nested_items(content: object) -> Iterator[tuple[str, Any]]:
    """Yield every key and value of nested JSON; the items of a list have the list's key.

    Iterative, since a file may be nested as deeply as the parser allows.
    """
    pending: list[tuple[str, object]] = [("", content)]
    while pending:
        key, value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.items())
            yield from value.items()
        elif isinstance(value, list):
            pending.extend((key, item) for item in value)
            yield from ((key, item) for item in value)


def _read(path: Path, *, what: str, max_bytes: int) -> Any:  # noqa: ANN401 - JSON
    check_file(path, what=what, max_bytes=max_bytes)
    with translate_errors(path, what):
        return json.loads(
            path.read_text(encoding="utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_reject_constant,
            parse_float=_finite_float,
        )


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key '{repeated}' occurs twice")
    return content


def _finite_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits} is too large for a float")
    return value


def _reject_constant(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
