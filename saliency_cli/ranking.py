"""Token scores -> scores of whole words, and which of them lead."""

from collections.abc import Iterator
from dataclasses import replace
from unicodedata import east_asian_width

from saliency_cli.records import Record
from saliency_cli.words import Piece, pieces


def whole_words(record: Record, *, segment: int = 0) -> Iterator[Piece]:
    """Put the pieces of a text together where a letter or digit follows another.

    Scores are added up, and so are errors: a bound, since nothing says that they are independent.
    Scripts written without spaces keep their pieces, and so does what the model did not see.
    """
    open_word: Piece | None = None
    for piece in pieces(record, segment=segment):
        if open_word is not None and _goes_on(open_word, piece):
            open_word = _joined(open_word, piece)
            continue
        if open_word is not None:
            yield open_word
        open_word = piece
    if open_word is not None:
        yield open_word


def leading(record: Record, *, most: int) -> list[Piece]:
    """Return the words of a text and its pair with the largest shares, the largest first."""
    halves = (0,) if record["pair"] is None else (0, 1)
    words = [
        replace(word, text=word.text.strip())
        for segment in halves
        for word in whole_words(record, segment=segment)
        if word.tokens and not word.special and word.text.strip()
    ]
    return sorted(words, key=lambda word: -abs(word.score))[:most]


def judged(record: Record) -> bool | None:
    """Say whether an explained row is predicted right; None without a gold label of the model's."""
    if record["gold"] not in record["probabilities"]:
        return None
    return bool(record["gold"] == record["predicted"])


def _goes_on(word: Piece, piece: Piece) -> bool:
    if not (word.tokens and piece.tokens) or word.special or piece.special:
        return False
    return _in_word(word.text[-1:]) and _in_word(piece.text[:1])


def _in_word(character: str) -> bool:
    return character.isalnum() and east_asian_width(character) not in {"W", "F"}


def _joined(word: Piece, piece: Piece) -> Piece:
    error = None if word.error is None or piece.error is None else word.error + piece.error
    return replace(
        word,
        text=word.text + piece.text,
        score=word.score + piece.score,
        error=error,
        tokens=word.tokens + piece.tokens,
    )
