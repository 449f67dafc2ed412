"""JSON beside the weights, read strictly: what two readers could take differently is refused."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.file_checks import check_file
from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible

MOST_BYTES = 64 << 20
"""A config of 100,000 labels has a tenth of that."""


def read_object(path: Path, *, what: str) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        CheckpointError: it is something else, too large, or no JSON; a key stands twice; a number
            is NaN or infinite.
    """
    check_file(path, what=what, most=MOST_BYTES)
    with refusing(path, what):
        content = json.loads(
            path.read_text(encoding="utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_float=_finite,
        )
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{visible(str(path))} holds no JSON object but a {type(content).__name__}"
        )
    return content


def entries(content: object) -> Iterator[tuple[str, Any]]:
    """Walk over every key and value of nested JSON; items of a list have their list's key.

    Without recursion: a file may be nested as deeply as the parser bears.
    """
    waiting: list[tuple[str, object]] = [("", content)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.items())
            yield from value.items()
        elif isinstance(value, list):
            waiting.extend((key, item) for item in value)
            yield from ((key, item) for item in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key '{twice}' stands twice")
    return content


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits} is beyond the range of numbers")
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
