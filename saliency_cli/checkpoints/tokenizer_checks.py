"""Checks of a tokenizer's parts: how much longer a text may become.

A normalizer of a few bytes can make a text of any length: 34 steps that replace "e" by "ee" make
each "e" 17 billion characters. Unicode's forms and lower case also lengthen a text (by 18 at most),
but not once more when they are repeated, and are not counted.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible

MAX_FILE_BYTES = 256 << 20
"""Ten times the size of the largest vocabularies in use."""
MAX_GROWTH = 64
"""The most characters that a normalizer or a pre-tokenizer may make of one."""
MAX_ADDED = 1000
"""The most characters that a normalizer may prepend, and the most tokens of a template."""
MAX_WORD_ADDED = 8
"""The most characters that a pre-tokenizer may put before a word."""
_FIXED_GROWTH = {"ByteLevel": 4, "BertNormalizer": 3}
"""A character for each of its UTF-8 bytes; spaces on both sides of a Chinese character."""
_WORD_PREFIXES = {"ByteLevel", "Metaspace"}


def check_growth(path: Path) -> None:
    """Check that a tokenizer.json cannot make a text far longer than it is.

    Raises:
        CheckpointError: Replacements, a prefix or a template of special tokens add too much.
    """
    content = read_object(path, what="the tokenizer", max_bytes=MAX_FILE_BYTES)
    _check_normalizer(content.get("normalizer"), path)
    words = [*_steps(content.get("pre_tokenizer"), "pretokenizers")]
    _check_replacements(words, path)
    if sum(step.get("type") in _WORD_PREFIXES for step in words) > MAX_WORD_ADDED:
        raise _growth_error(path, f"puts more than {MAX_WORD_ADDED} characters before a word")
    for step in _steps(content.get("post_processor"), "processors"):
        if any(len(step.get(name) or ()) > MAX_ADDED for name in ("single", "pair")):
            raise _growth_error(path, f"adds more than {MAX_ADDED:,} special tokens to a text")


def check_loaded_growth(backend: Any, folder: Path) -> None:  # noqa: ANN401 - a Tokenizer
    """Check the normalizer of a loaded tokenizer, which may come from a SentencePiece model.

    Args:
        backend: The tokenizer of the tokenizers library.
        folder: The tokenizer's folder, for messages.

    Raises:
        CheckpointError: It can make a text far longer than it is.
    """
    if backend.normalizer is not None:
        _check_normalizer(json.loads(backend.normalizer.__getstate__()), folder)


def _check_normalizer(normalizer: Any, path: Path) -> None:  # noqa: ANN401 - JSON
    steps = [*_steps(normalizer, "normalizers")]
    _check_replacements(steps, path)
    if sum(len(str(step.get("prepend", ""))) for step in steps) > MAX_ADDED:
        raise _growth_error(path, f"puts more than {MAX_ADDED:,} characters before a text")


def _check_replacements(steps: list[dict[str, Any]], path: Path) -> None:
    growth = 1.0
    for step in steps:
        growth *= max(1.0, _growth(step))
        if growth > MAX_GROWTH:
            raise _growth_error(path, f"replaces a character by more than {MAX_GROWTH}")


def _steps(part: Any, name: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    """Yield a part of a tokenizer, or the parts of a sequence, which may hold sequences."""
    pending = [part]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            yield each
            inner = each.get(name)
            pending.extend(inner if isinstance(inner, list) else ())


def _growth(step: dict[str, Any]) -> float:
    """Return how many characters a step makes of one; 0 if it makes no other of it."""
    kind, charsmap = step.get("type"), step.get("precompiled_charsmap")
    if isinstance(charsmap, str):
        return _longest_replacement(charsmap)
    if isinstance(kind, str) and kind in _FIXED_GROWTH:
        return _FIXED_GROWTH[kind]
    return _replacement_growth(step)


def _longest_replacement(charsmap: str) -> int:
    """Return the characters of the longest replacement in a SentencePiece table, in base64.

    The table is the size of a trie in 4 bytes, the trie, and the replacements, which end with NUL.
    """
    try:
        table = b64decode(charsmap)
    except ValueError:  # the library refuses it, too
        return 0
    texts = table[4 + int.from_bytes(table[:4], "little") :]
    found = re.finditer(rb"[^\0]+", texts)
    return max((len(text[0].decode(errors="replace")) for text in found), default=0)


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
