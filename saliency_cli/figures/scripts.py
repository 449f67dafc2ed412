"""Which script a text is written in."""

from collections import Counter
from functools import cache
from unicodedata import name

NONE = "no letters"
_OTHER_NAMES = {
    "Cjk": "Han",
    "Hiragana": "Kana",
    "Katakana": "Kana",
    "Halfwidth": "Kana",
    "Fullwidth": "Latin",
    "Mathematical": "Latin",
}
"""First words of letters' names that are not the name of their script."""


def script_of(text: str) -> str:
    """Return the script of most of a text's letters: Latin, Cyrillic, Han, Arabic, ...

    The first script in alphabetical order among equals; "no letters" if there is none.
    """
    if text.isascii():
        return "Latin" if any(map(str.isalpha, text)) else NONE
    counts: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if character.isalpha():
            counts[_script_of_letter(character)] += count
    return min(counts, key=lambda script: (-counts[script], script), default=NONE)


@cache
def _script_of_letter(letter: str) -> str:
    """Return a letter's script, which is the first word of its Unicode name but for a few."""
    first = name(letter, "other").split()[0].title()
    return _OTHER_NAMES.get(first, first)
