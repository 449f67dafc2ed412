"""Pieces of one word, put together: what a reader calls a word, not what the tokenizer does."""

from collections.abc import Sequence

from saliency_cli.words import Piece, binds


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
