"""Token scores -> pieces of the untouched text, in reading order and without a gap."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from saliency_cli.records import Record


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text, or a special token's name, with the tokens that lie there.

    No token: text that the model did not see, between tokens or cut off. Several: tokens that share
    characters, as the bytes of one emoji do; their scores and errors are added.
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
    for token in _tokens(record, segment):
        start, end = token.start, token.end
        if token.piece.special:
            found.append(token.piece)
            continue
        if start > position:
            found.append(_unread(text[position:start], cut=record["truncated"] and not position))
        if end <= position or start < position:
            _join(found, token.piece, text[position:end])
        else:
            found.append(replace(token.piece, text=text[start:end]))
        position = max(position, end)
    if position < len(text):
        found.append(_unread(text[position:], cut=record["truncated"]))
    return found


def _unread(text: str, *, cut: bool) -> Piece:
    """Return text without a token; cut off, where more than white space lies beyond the last."""
    return Piece(text, cut=cut and not text.isspace())


@dataclass(frozen=True, slots=True)
class _Token:
    piece: Piece
    start: int
    end: int


def _tokens(record: Record, segment: int) -> Iterator[_Token]:
    errors = record["errors"] or [None] * len(record["tokens"])
    segments = record.get("segments") or [0] * len(record["tokens"])
    names = ("tokens", "offsets", "special", "scores")
    for token, (start, end), special, score, error, of in zip(
        *(record[name] for name in names), errors, segments, strict=True
    ):
        if of == segment:
            yield _Token(Piece(token, score, error, (token,), special), start, end)


def _join(found: list[Piece], piece: Piece, more: str) -> None:
    """Add a token that begins inside the last piece, or has no characters, to that piece."""
    last = next((i for i in reversed(range(len(found))) if found[i].tokens), None)
    if last is None or found[last].special:
        found.append(replace(piece, text=more))
        return
    before = found[last]
    error = None if before.error is None or piece.error is None else before.error + piece.error
    found[last] = replace(
        before,
        text=before.text + more,
        score=before.score + piece.score,
        error=error,
        tokens=before.tokens + piece.tokens,
    )
