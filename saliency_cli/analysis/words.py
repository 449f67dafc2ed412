"""Token scores -> pieces of the untouched text, in reading order and without a gap; and words."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from saliency_cli.records import Record

KEY_LENGTH = 64
"""Characters of a word that tell it from others: what has no end shall not be kept whole."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u30ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""Scripts that put no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese."""

_INSIDE = "'’_\u200c\u200d"
"""What stands inside words, and is no part of them at their ends."""


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
    found[last] = added_up((found[last], piece))


def added_up(found: Sequence[Piece]) -> Piece:
    """Make one piece of several, with the sum of their scores.

    Errors are added too: a bound, since nothing says that they are independent.
    """
    errors = [piece.error for piece in found if piece.error is not None]
    return found[0]._replace(
        text="".join(piece.text for piece in found),
        score=sum(piece.score for piece in found),
        error=sum(errors) if len(errors) == len(found) else None,
        tokens=tuple(token for piece in found for token in piece.tokens),
    )


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


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text, whatever number of tokens it took, with the sum of their scores.

    `key` is the same for the same word elsewhere: no case, no apostrophes around it.
    """

    text: str
    key: str
    score: float


def words(record: Record) -> list[Word]:
    """Join the tokens of each word, so that words can be counted; both halves of a pair count.

    Two tokens are of one word where they share characters, or where nothing stands between them and
    letters or digits meet. Punctuation is a word by itself, and so is each token in scripts that
    write no spaces. Special tokens and white space are no words.
    """
    texts = (record["text"], record["pair"])
    found = []
    for segment, start, end, score in _spans(record):
        text = texts[segment][start:end].strip()
        if text:
            found.append(Word(text, word_key(text), score))
    return found


def _spans(record: Record) -> Iterator[tuple[int, int, int, float]]:
    """Yield segment, start, end and score of each run of tokens that belong together."""
    segments = record.get("segments") or [0] * len(record["tokens"])
    texts = (record["text"], record["pair"])
    of, first, last, total = -1, 0, 0, 0.0
    for (start, end), special, score, segment in zip(
        record["offsets"], record["special"], record["scores"], segments, strict=True
    ):
        if special:
            continue
        if segment == of and _continues(texts[of], start, end, last=last):
            last, total = max(last, end), total + score
            continue
        if of >= 0:
            yield of, first, last, total
        of, first, last, total = segment, start, end, score
    if of >= 0:
        yield of, first, last, total


def _continues(text: str, start: int, end: int, *, last: int) -> bool:
    """Say whether a token goes on with the word that ended at `last`."""
    if start < last or start == end:
        return True
    return start == last > 0 and binds(text[start - 1]) and binds(text[start])


@lru_cache(maxsize=4096)
def binds(character: str) -> bool:
    """Say whether a character makes one word with a letter beside it."""
    if character.isalnum():
        return not _UNSPACED.match(character)
    return character in _INSIDE or unicodedata.category(character).startswith("M")


@lru_cache(maxsize=1 << 14)
def word_key(text: str) -> str:
    """Return what is the same for the same word elsewhere; see `Word`."""
    key = text if text.isascii() else unicodedata.normalize("NFC", text)
    return (key.strip(_INSIDE) or key)[:KEY_LENGTH].casefold()


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
