"""Token scores -> scores of whole words, and which of them lead."""

from collections.abc import Iterator, Sequence

from saliency_cli.records import Record
from saliency_cli.words import Piece, joined, pieces


def whole_words(record: Record, *, segment: int = 0) -> Iterator[Piece]:
    """Put the pieces of each word of a text together.

    Scores are added up, and so are errors: a bound, since nothing says that they are independent.
    """
    yield from map(_added_up, joined(pieces(record, segment=segment)))


def leading(record: Record, *, most: int) -> list[Piece]:
    """Return the words of a text and its pair with the largest shares, the largest first."""
    halves = (0,) if record["pair"] is None else (0, 1)
    words = [
        word._replace(text=word.text.strip())
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


def _added_up(word: Sequence[Piece]) -> Piece:
    if len(word) == 1:
        return word[0]
    errors = [piece.error for piece in word if piece.error is not None]
    return word[0]._replace(
        text="".join(piece.text for piece in word),
        score=sum(piece.score for piece in word),
        error=sum(errors) if len(errors) == len(word) else None,
        tokens=tuple(token for piece in word for token in piece.tokens),
    )
