"""Text from anywhere, made fit to be shown: what acts instead of being read becomes an escape."""

import json
import unicodedata
from collections.abc import Sequence

_ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}  # zero-width (non-)joiners shape Persian, Hindi and emoji


def visible(text: str, *, keep: str = "") -> str:
    r"""Show what acts instead of being read, of `text`, as an escape: ``\x1b``, ``\u202e``.

    A terminal then sees no escape sequence and a log no second line (Unicode TR 36, section 2).
    Characters in `keep` stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii") if _acts(character) else character


def _acts(character: str) -> bool:
    return unicodedata.category(character) in _ACTING and character not in _JOINERS


def harmless_json(line: str) -> str:
    """Spell what acts, of a line of JSON, as JSON does: the same value, and fit for a terminal."""
    if line.removesuffix("\n").isprintable():
        return line
    return "".join(json.dumps(c)[1:-1] if c != "\n" and _acts(c) else c for c in line)


def encodable(text: str) -> bool:
    """Say whether UTF-8 can write `text`: JSON and file names can spell lone surrogates."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def excerpt(text: str, *, limit: int = 200) -> str:
    """Shorten `text` to `limit` characters and make it visible, for a message or a record."""
    return visible(text[:limit]) + ("…" if len(text) > limit else "")


def listed(names: Sequence[str], *, most: int = 8) -> str:
    """Write out the first few of `names`, made visible, and how many more there are."""
    shown = ", ".join(visible(name) for name in names[:most])
    rest = len(names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown
