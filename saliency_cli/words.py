"""Token scores -> pieces of the untouched text, in reading order and without a gap."""

from collections.abc import Iterable
from typing import NamedTuple

from saliency_cli.records import Record


class Piece(NamedTuple):
    """A stretch of the text, or a special token's name, with the tokens that lie there.

    No token: text that the model did not see, between tokens or cut off. Several: tokens that share
    characters, as the bytes of one emoji do; their scores and errors are added. A tuple: each token
    of a page has one, and it is made in a third of a dataclass's time.
    """

    text: str
    score: float = 0.0
    error: float | None = None
    tokens: tuple[str, ...] = ()
    special: bool = False
    cut: bool = False


def pieces(record: Record, *, segment: int = 0) -> list[Piece]:
    """Divide a record's text, or with `segment` 1 the pair's second half.

    The texts of the pieces that are not special join to the whole.
    """
    text: str = record["pair"] if segment else record["text"]
    found: list[Piece] = []
    position = 0
    for token, (start, end), special, score, error, of in _tokens(record):
        if of != segment:
            continue
        if special:
            found.append(Piece(token, score, error, (token,), special=True))
            continue
        if start > position:
            found.append(_unread(text[position:start], cut=record["truncated"] and not position))
        if end <= position or start < position:
            _join(found, Piece(text[position:end], score, error, (token,)))
        else:
            found.append(Piece(text[start:end], score, error, (token,)))
        position = max(position, end)
    if position < len(text):
        found.append(_unread(text[position:], cut=record["truncated"]))
    return found


def _unread(text: str, *, cut: bool) -> Piece:
    """Return text without a token; cut off, where more than white space lies beyond the last."""
    return Piece(text, cut=cut and not text.isspace())


def _tokens(
    record: Record,
) -> Iterable[tuple[str, tuple[int, int], bool, float, float | None, int]]:
    """Return token, offsets, whether it is special, score, error and segment of every token."""
    errors = record["errors"] or [None] * len(record["tokens"])
    segments = record.get("segments") or [0] * len(record["tokens"])
    names = ("tokens", "offsets", "special", "scores")
    return zip(*(record[name] for name in names), errors, segments, strict=True)


def _join(found: list[Piece], piece: Piece) -> None:
    """Add a token that begins inside the last piece, or has no characters, to that piece."""
    last = next((i for i in reversed(range(len(found))) if found[i].tokens), None)
    if last is None or found[last].special:
        found.append(piece)
        return
    before = found[last]
    error = None if before.error is None or piece.error is None else before.error + piece.error
    found[last] = before._replace(
        text=before.text + piece.text,
        score=before.score + piece.score,
        error=error,
        tokens=before.tokens + piece.tokens,
    )
