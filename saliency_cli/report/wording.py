"""Pieces of one word, put together: what a reader calls a word, not what the tokenizer does."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from saliency_cli.words import Piece

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese: no space tells where a word ends."""

_INSIDE = frozenset("'’_\u200c\u200d")


def joined(found: Sequence[Piece]) -> Iterator[tuple[Piece, ...]]:
    """Group neighbouring pieces by word; punctuation, gaps and special tokens stand alone."""
    word: list[Piece] = []
    for piece in found:
        if word and not _continues(word[-1], piece):
            yield tuple(word)
            word = []
        word.append(piece)
    if word:
        yield tuple(word)


def _continues(before: Piece, piece: Piece) -> bool:
    if not (before.tokens and piece.tokens) or before.special or piece.special:
        return False
    return bool(before.text and piece.text) and binds(before.text[-1]) and binds(piece.text[0])


@lru_cache(maxsize=4096)
def binds(character: str) -> bool:
    """Say whether a character makes one word with a letter beside it."""
    if character.isalnum():
        return not _UNSPACED.match(character)
    return character in _INSIDE or unicodedata.category(character).startswith("M")
