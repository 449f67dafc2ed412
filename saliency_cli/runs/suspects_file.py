"""`suspects.json` of a run: what the check of its shortcut suspects found."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from saliency_cli.atomic_files import open_atomic, output_errors
from saliency_cli.errors import UsageError
from saliency_cli.runs.plain_files import check_plain
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.safe_text import encodable, visible

_FLIPS = ("removed", "inserted", "control")
_MOST_TEXTS = 1_000
"""More than any run checks: a test over them ends in milliseconds."""


def write_suspects(folder: RunFolder, entries: Sequence[Mapping[str, Any]] | None) -> None:
    """Write the file, or remove that of an earlier run.

    Args:
        folder: The run folder.
        entries: An object for each suspect; None if they were not checked.

    Raises:
        UsageError: If a run did not write the file that is there.
        OutputError: If it cannot be written or removed.
    """
    folder.clear_suspects()
    if entries is None:
        return
    path = folder.suspects
    text = json.dumps(entries, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
    with open_atomic(path) as stream, output_errors(path):
        stream.write(text + "\n")


def read_suspects(folder: RunFolder) -> list[dict[str, Any]] | None:
    """Return the entries of the file; None if there is none.

    Raises:
        UsageError: If it is damaged.
    """
    path = folder.suspects
    check_plain(path)
    try:
        text = path.read_bytes().decode("utf-8")
        entries = json.loads(text)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        entries = None
    if type(entries) is not list or not all(map(_is_entry, entries)):
        raise UsageError(
            f"{visible(str(path))} is damaged",
            "explain the texts again with --resume, or remove the file",
        )
    return entries


def _is_entry(entry: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a value is what `write_suspects` was given for a suspect."""
    if type(entry) is not dict or not _are_words(entry.get("words")) or not entry["words"]:
        return False
    alone, control = entry.get("alone"), entry.get("control")
    if type(alone) is not list or type(control) is not dict or not _are_words(control.get("words")):
        return False
    is_named = type(entry.get("label")) is str and encodable(entry["label"])
    return is_named and all(map(_is_flips, (*alone, *(entry.get(name) for name in _FLIPS))))


def _are_words(value: Any) -> bool:  # noqa: ANN401
    return type(value) is list and all(type(word) is str and encodable(word) for word in value)


def _is_flips(value: Any) -> bool:  # noqa: ANN401
    """Whether a value is an object with a number of texts, and of those that flipped."""
    if type(value) is not dict:
        return False
    texts, flipped = value.get("texts"), value.get("flipped")
    return type(texts) is type(flipped) is int and 0 <= flipped <= texts < _MOST_TEXTS
