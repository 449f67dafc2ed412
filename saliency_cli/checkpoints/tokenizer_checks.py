"""Checks of tokenizer.json before the library reads it: how much longer a text may become.

A normalizer of a few bytes can make a text of any length: 34 steps that replace "e" by "ee" make
each "e" 17 billion characters.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible

MAX_FILE_BYTES = 256 << 20
"""Ten times the size of the largest vocabularies in use."""
MAX_GROWTH = 64
"""The most characters that a normalizer's replacements may make of one."""
MAX_ADDED = 1000
"""The most characters that a normalizer may prepend, and the most tokens of a template."""


def check_growth(path: Path) -> None:
    """Raise an error if a tokenizer.json can make a text far longer than it is.

    Raises:
        CheckpointError: Replacements, a prefix or a template of special tokens add too much.
    """
    content = read_object(path, what="the tokenizer", max_bytes=MAX_FILE_BYTES)
    steps = [*_steps(content.get("normalizer"), "normalizers")]
    growth = 1.0
    for step in steps:
        growth *= max(1.0, _replacement_growth(step))
        if growth > MAX_GROWTH:
            raise _growth_error(path, f"replaces a character by more than {MAX_GROWTH}")
    if sum(len(str(step.get("prepend", ""))) for step in steps) > MAX_ADDED:
        raise _growth_error(path, f"puts more than {MAX_ADDED:,} characters before a text")
    for step in _steps(content.get("post_processor"), "processors"):
        if any(len(step.get(name) or ()) > MAX_ADDED for name in ("single", "pair")):
            raise _growth_error(path, f"adds more than {MAX_ADDED:,} special tokens to a text")


def _steps(part: Any, name: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    """Yield a part of a tokenizer, or the parts of a sequence, which may hold sequences."""
    pending = [part]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            yield each
            inner = each.get(name)
            pending.extend(inner if isinstance(inner, list) else ())


def _replacement_growth(step: dict[str, Any]) -> float:
    """Return how many characters a replacement makes of each that it replaces; 0 if it is none."""
    content, pattern = step.get("content"), step.get("pattern")
    if not isinstance(content, str) or not isinstance(pattern, dict):
        return 0
    text = pattern.get("String")
    if isinstance(text, str) and text:
        return len(content) / len(text)
    return len(content) + 1  # an empty string or a regular expression may match between characters


def _growth_error(path: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"{visible(str(path))}: the tokenizer {what}",
        "give the tokenizer that the model was trained with, by --tokenizer",
    )
