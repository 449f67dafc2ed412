r"""Make text from files and options safe to show: control characters become escapes like ``\x1b``.

A terminal then gets no escape sequence, and a log no forged line (Unicode TR 36, section 2).
"""

import json
import re
import unicodedata
from collections.abc import Sequence

MAX_MESSAGE = 4000
"""The most characters of a message: two of the longest paths that Linux opens are 8,192 bytes."""
_CONTROL_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories: control, format, surrogate, line separator, paragraph separator."""
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
_JOINERS = {"\u200c", "\u200d"}  # zero-width (non-)joiners shape Persian, Hindi and emoji


def visible(text: str, *, keep: str = "") -> str:
    r"""Return `text` with control characters written as escapes: ``\x1b``, ``\u202e``.

    Args:
        text: Any text.
        keep: Control characters that are left as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep else _escape(c) for c in text)


def _escape(character: str) -> str:
    if _is_control(character):
        return character.encode("unicode_escape").decode("ascii")
    return character


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in _CONTROL_CATEGORIES and character not in _JOINERS


def escape_json(line: str) -> str:
    """Return a line of JSON with control characters written as JSON escapes; the value is equal."""
    if line.removesuffix("\n").isprintable():
        return line
    return "".join(json.dumps(c)[1:-1] if c != "\n" and _is_control(c) else c for c in line)


def encodable(text: str) -> bool:
    """Whether `text` can be encoded as UTF-8: JSON and file names can hold lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def excerpt(text: str, *, limit: int = 200) -> str:
    """Return the beginning of `text`, made visible, for a message or a record.

    Args:
        text: Any text.
        limit: Maximum number of characters of `text`. An ellipsis follows where more were cut off.
    """
    return visible(text[:limit]) + ("…" if len(text) > limit else "")


def message_line(text: str) -> str:
    """Return a message as it is printed: made visible, and cut after `MAX_MESSAGE` characters.

    A message may quote a file, whose names and numbers have any length.
    """
    return excerpt(visible(text[: MAX_MESSAGE + 1]), limit=MAX_MESSAGE)


def error_text(error: BaseException) -> str:
    """Return the type and the message of an exception in one bounded line, made visible.

    The exception may be of a user's class, whose `__str__` may fail. An object's address in its
    message is left out, because it differs from run to run.
    """
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the class may be a user's own
        message = ""
    name = type(error).__name__
    message = _ADDRESS.sub("0x…", message.strip().partition("\n")[0])
    return excerpt(f"{name}: {message}" if message else name)


def listed(names: Sequence[str], *, most: int = 8) -> str:
    """Return names as one comma-separated text, each an excerpt: `a, b and 3 more`.

    Args:
        names: The names, in the order in which they are listed.
        most: Maximum number of names that are written out.
    """
    text = ", ".join(excerpt(name) for name in names[:most])
    rest = len(names) - most
    return f"{text} and {rest} more" if rest > 0 else text
