"""The rules for which tokens of a text belong to one word, and which words are the same."""

import re
import unicodedata
from functools import lru_cache

_UNSPACED_SCRIPT = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Scripts that put no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""

INNER_PUNCTUATION = "'’_\u200c\u200d"
"""Characters that join letters inside a word, but are not part of the word at its ends."""


KEY_LENGTH = 64
"""Maximum number of characters of a word's key: bounds the memory that an endless word takes."""


def continues_word(text: str, start: int, end: int, *, last: int) -> bool:
    """Return whether the token [start, end) of a text continues the word that ends at `last`.

    It does if it shares characters with the word, or touches it and the characters on both sides
    are word characters.

    Args:
        text: The text.
        start: The token's first code point.
        end: The code point after its last one.
        last: The code point after the last one of the word before it.
    """
    if start < last or start == end:
        return True
    return (
        start == last > 0 and is_word_character(text[start - 1]) and is_word_character(text[start])
    )


@lru_cache(maxsize=4096)
def is_word_character(character: str) -> bool:
    """Return whether a character and a letter beside it belong to one word."""
    if character.isalnum():
        return not _UNSPACED_SCRIPT.match(character)
    return character in INNER_PUNCTUATION or unicodedata.category(character).startswith("M")


@lru_cache(maxsize=1 << 14)
def word_key(text: str) -> str:
    """Return a word in normal form: NFC, case-folded, no apostrophes around it, cut to a limit."""
    key = text if text.isascii() else unicodedata.normalize("NFC", text)
    return (key.strip(INNER_PUNCTUATION) or key)[:KEY_LENGTH].casefold()
