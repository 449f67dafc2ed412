"""A short part of a row's text that shows its strongest word, as words with their scores."""

from itertools import accumulate
from typing import TypeAlias

from saliency_cli.analysis.words import Piece, group_by_word, merge_pieces, pieces
from saliency_cli.records import Record

Excerpt: TypeAlias = tuple[Piece, ...]
"""Whole words and what is between them, in reading order; `…` where text is left out."""

CHARACTERS = 160
"""Characters of an excerpt; a word is never divided."""

BEFORE = 60
"""Characters before the strongest word, where that does not stand near the beginning."""

ELLIPSIS, BETWEEN = Piece("…"), Piece(" ⁄ ")


def excerpt_words(record: Record) -> Excerpt:
    """Return an excerpt of an explained record: the beginning, or later if its strongest word is.

    Special tokens are left out; the texts of a pair are joined.
    """
    words = _words(record, segment=0)
    if record["pair"] is not None:
        words += [BETWEEN, *_words(record, segment=1)]
    ends = [*accumulate(len(word.text) for word in words)]
    strongest = max(range(len(words)), key=lambda at: abs(words[at].score), default=0)
    start = 0
    if words and ends[strongest] > CHARACTERS:
        start = next(at for at, end in enumerate(ends) if end >= ends[strongest] - BEFORE)
        start = min(start, strongest)
    begin = ends[start - 1] if start else 0
    stop = start
    while stop < len(words) and (ends[stop] <= begin + CHARACTERS or stop <= strongest):
        stop += 1
    kept = (_short(word) for word in words[start:stop])
    return (*[ELLIPSIS] * (start > 0), *kept, *[ELLIPSIS] * (stop < len(words)))


def _words(record: Record, *, segment: int) -> list[Piece]:
    groups = group_by_word(pieces(record, segment=segment))
    return [merge_pieces(group) for group in groups if not group[0].special]


def _short(word: Piece) -> Piece:
    """Return a word, of an endless one its start: text that was not read is one piece."""
    return (
        word if len(word.text) <= CHARACTERS else word._replace(text=word.text[:CHARACTERS] + "…")
    )
