"""Token scores -> scores of whole words, and which of them lead."""

from collections.abc import Iterator

from saliency_cli.records import Record
from saliency_cli.words import Piece, added_up, joined, pieces


def whole_words(record: Record, *, segment: int = 0) -> Iterator[Piece]:
    """Put the pieces of each word of a text together, scores and errors added up."""
    yield from map(added_up, joined(pieces(record, segment=segment)))


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
