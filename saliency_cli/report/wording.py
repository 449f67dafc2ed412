"""Pieces of one word, put together: what a reader calls a word, not what the tokenizer does."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from saliency_cli.words import Piece

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese: no space tells where a word ends."""

_INSIDE = frozenset("'’_\u200c\u200d")


def joined(found: Sequence[Piece]) -> list[list[Piece]]:
    """Group neighbouring pieces by word; punctuation, gaps and special tokens stand alone."""
    words: list[list[Piece]] = []
    before: Piece | None = None
    for piece in found:
        if before is not None and piece.tokens and before.tokens and _one_word(before, piece):
            words[-1].append(piece)
        else:
            words.append([piece])
        before = piece
    return words


def _one_word(before: Piece, piece: Piece) -> bool:
    if before.special or piece.special or not before.text or not piece.text:
        return False
    return binds(before.text[-1]) and binds(piece.text[0])


@lru_cache(maxsize=4096)
def binds(character: str) -> bool:
    """Say whether a character makes one word with a letter beside it."""
    if character.isalnum():
        return not _UNSPACED.match(character)
    return character in _INSIDE or unicodedata.category(character).startswith("M")
