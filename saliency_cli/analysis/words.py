"""A record's tokens as pieces of its text, and as whole words.

Pages and terminals show `Piece`s: they cover the text without a gap and keep it unchanged. Counts
over many texts use `Word`s: they leave out gaps and special tokens, and have a key that is the same
for every spelling of a word. Both follow one rule for which tokens belong to a word (`words`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from saliency_cli.records import Record
from saliency_cli.word_boundaries import continues_word, is_word_character, word_key


class Piece(NamedTuple):
    """A stretch of the text with the tokens that lie there, or a special token's name.

    A NamedTuple, because each token of a page has a piece, and a dataclass takes three times as
    long to create.

    Attributes:
        text: the characters, unchanged; of a special token its name.
        score: the sum of its tokens' scores.
        error: the sum of its tokens' standard errors; None if they were not estimated.
        tokens: none for text that the model did not read (between tokens, or cut off); several
            where tokens share characters, as the bytes of one emoji do.
        special: whether it is a special token, which is not in the text.
        cut: whether it is text that was cut off.
    """

    text: str
    score: float = 0.0
    error: float | None = None
    tokens: tuple[str, ...] = ()
    special: bool = False
    cut: bool = False


def pieces(record: Record, *, segment: int = 0) -> list[Piece]:
    """Divide a record's text into pieces, in reading order.

    The texts of the pieces that are not special tokens join to the whole text.

    Args:
        record: an explained record.
        segment: 0 for the text, 1 for the second text of a pair.
    """
    text: str = record["pair"] if segment else record["text"]
    result: list[Piece] = []
    position = 0
    for token, (start, end), special, score, error, token_segment in _tokens(record):
        if token_segment != segment:
            continue
        if special:
            result.append(Piece(token, score, error, (token,), special=True))
            continue
        if start > position:
            cut = record["truncated"] and not position
            result.append(_unread(text[position:start], cut=cut))
        if end <= position or start < position:
            _merge_into_last(result, Piece(text[position:end], score, error, (token,)))
        else:
            result.append(Piece(text[start:end], score, error, (token,)))
        position = max(position, end)
    if position < len(text):
        result.append(_unread(text[position:], cut=record["truncated"]))
    return result


def _unread(text: str, *, cut: bool) -> Piece:
    """Return a piece of text without a token. White space alone does not count as cut off."""
    return Piece(text, cut=cut and not text.isspace())


def _tokens(
    record: Record,
) -> Iterable[tuple[str, tuple[int, int], bool, float, float | None, int]]:
    """Return (token, offsets, special, score, error, segment) of every token."""
    errors = record["errors"] or [None] * len(record["tokens"])
    names = ("tokens", "offsets", "special", "scores")
    return zip(*(record[name] for name in names), errors, _segments(record), strict=True)


def _segments(record: Record) -> list[int]:
    """Return the segment of every token; a record without a pair does not store them."""
    return record.get("segments") or [0] * len(record["tokens"])


def _merge_into_last(result: list[Piece], piece: Piece) -> None:
    """Merge a token that starts inside the last piece, or has no characters, into that piece."""
    last = next((i for i in reversed(range(len(result))) if result[i].tokens), None)
    if last is None or result[last].special:
        result.append(piece)
        return
    result[last] = merge_pieces((result[last], piece))


def merge_pieces(parts: Sequence[Piece]) -> Piece:
    """Return one piece with the joined text and the summed scores of several.

    Standard errors are summed too: that is an upper bound, because the errors of the tokens may be
    dependent.
    """
    errors = [piece.error for piece in parts if piece.error is not None]
    return parts[0]._replace(
        text="".join(piece.text for piece in parts),
        score=sum(piece.score for piece in parts),
        error=sum(errors) if len(errors) == len(parts) else None,
        tokens=tuple(token for piece in parts for token in piece.tokens),
    )


def group_by_word(parts: Sequence[Piece]) -> list[list[Piece]]:
    """Group neighbouring pieces of one word; gaps, special tokens and punctuation stand alone."""
    groups: list[list[Piece]] = []
    previous: Piece | None = None
    for piece in parts:
        if previous and previous.tokens and piece.tokens and _same_word(previous, piece):
            groups[-1].append(piece)
        else:
            groups.append([piece])
        previous = piece
    return groups


def _same_word(previous: Piece, piece: Piece) -> bool:
    if previous.special or piece.special or not previous.text or not piece.text:
        return False
    return is_word_character(previous.text[-1]) and is_word_character(piece.text[0])


def whole_words(record: Record, *, segment: int = 0) -> Iterator[Piece]:
    """Yield a text's pieces with the tokens of each word merged.

    Args:
        record: an explained record.
        segment: 0 for the text, 1 for the second text of a pair.
    """
    yield from map(merge_pieces, group_by_word(pieces(record, segment=segment)))


def strongest_words(record: Record, *, limit: int) -> list[Piece]:
    """Return the words of a text and its pair with the largest absolute scores, largest first.

    Occurrences of a word are added up, whatever their spelling; the first one gives the text.

    Args:
        record: an explained record.
        limit: maximum number of words.
    """
    occurrences: dict[str, list[Piece]] = {}
    for segment in (0,) if record["pair"] is None else (0, 1):
        for word in whole_words(record, segment=segment):
            text = word.text.strip()
            if word.tokens and not word.special and text:
                occurrences.setdefault(word_key(text), []).append(word._replace(text=text))
    merged = [merge_pieces(each)._replace(text=each[0].text) for each in occurrences.values()]
    return sorted(merged, key=lambda word: -abs(word.score))[:limit]


@dataclass(frozen=True, slots=True)
class Word:
    """One occurrence of a word in a text.

    Attributes:
        text: the characters, unchanged.
        key: the same for every spelling of the word, see `word_key`.
        score: the sum of its tokens' scores.
    """

    text: str
    key: str
    score: float


def words(record: Record) -> list[Word]:
    """Return the words of a text and its pair, in reading order.

    Two tokens belong to one word if they share characters, or if they touch and the characters on
    both sides are word characters (`is_word_character`). Punctuation is a word by itself, and so is
    each token in scripts without spaces. Special tokens and white space are not words.
    """
    scores = record["scores"]
    return [
        Word(text, word_key(text), sum([scores[token] for token in tokens]))
        for text, tokens in _word_tokens(record)
    ]


def word_tokens(record: Record) -> list[tuple[str, list[int]]]:
    """Return the key and the indices of the tokens of each word of `words`, in reading order.

    For adding up several values of a token by word.
    """
    return [(word_key(text), tokens) for text, tokens in _word_tokens(record)]


def _word_tokens(record: Record) -> Iterator[tuple[str, list[int]]]:
    """Yield the characters of each word, and the indices of its tokens."""
    texts = (record["text"], record["pair"])
    for segment, start, end, tokens in _word_spans(record):
        text = texts[segment][start:end].strip()
        if text:
            yield text, tokens


def _word_spans(record: Record) -> Iterator[tuple[int, int, int, list[int]]]:
    """Yield (segment, start, end, tokens) of each run of tokens that belong to one word."""
    texts = (record["text"], record["pair"])
    current, first, last, tokens = -1, 0, 0, [0]
    index = -1
    for (start, end), special, segment in zip(
        record["offsets"], record["special"], _segments(record), strict=True
    ):
        index += 1
        if special:
            continue
        if segment == current and continues_word(texts[current], start, end, last=last):
            last = max(last, end)
            tokens.append(index)
            continue
        if current >= 0:
            yield current, first, last, tokens
        current, first, last, tokens = segment, start, end, [index]
    if current >= 0:
        yield current, first, last, tokens
