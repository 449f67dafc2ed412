"""Text -> ids, offsets into the untouched text, special tokens; windows of long texts."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, TypeAlias

from saliency_cli.model.truncation import Span, deciding_spans
from saliency_cli.records import Encoded, Encoding, Row, Window

TEXT, PAIR = 0, 1
_Told: TypeAlias = tuple[tuple[int, int], int, bool]
"""A token as the tokenizer tells it: offsets, half, special or not."""
ONLY = {TEXT: "only_first", PAIR: "only_second"}


def encode(tokenizer: Any, texts: Sequence[str], *, max_length: int) -> list[Encoding]:  # noqa: ANN401
    """Encode texts, cutting each after `max_length` tokens, special ones counted.

    Offsets are code points of the text as it was given, whatever the tokenizer's normaliser did.
    The name of a special token that a text spells out is text.
    """
    found = _call(tokenizer, list(texts), truncation=True, max_length=max_length)
    return [_encoding(encoding, (text,)) for encoding, text in zip(found, texts, strict=True)]


def encode_rows(
    tokenizer: Any,  # noqa: ANN401
    rows: Sequence[Row],
    *,
    max_length: int,
    stride: int | None = None,
) -> list[Encoded]:
    """Encode rows, in pairs where they are; what is too long is cut or, with a stride, windowed.

    A text that is cut is not read much further than where it is.
    """
    if not rows:
        return []
    spans = [
        _spans(tokenizer, row, max_length=max_length if stride is None else None) for row in rows
    ]
    given = [*map(_given, rows, spans)]
    found = _call(tokenizer, given, truncation=True, max_length=max_length)
    encodings = map(_encoding, found, map(_halves, rows), spans)
    return [
        _windowed(tokenizer, row, max_length=max_length, stride=stride) or _single(encoding)
        if encoding.truncated and stride is not None
        else _single(encoding)
        for row, encoding in zip(rows, encodings, strict=True)
    ]


def _halves(row: Row) -> tuple[str, ...]:
    return (row.text,) if row.pair is None else (row.text, row.pair)


def _spans(tokenizer: Any, row: Row, *, max_length: int | None) -> tuple[Span, ...]:  # noqa: ANN401
    """Return the parts of a row's halves that are read: all, unless a length decides."""
    halves = _halves(row)
    if max_length is None:
        return tuple((0, len(half)) for half in halves)
    return deciding_spans(
        tokenizer,
        halves,
        max_length=max_length,
        tokenize=lambda parts: _call(tokenizer, [_shaped(parts)])[0],
    )


def _given(row: Row, spans: Sequence[Span]) -> str | tuple[str, ...]:
    """Return those parts of a row's text or pair as transformers takes them."""
    return _shaped(
        tuple(half[start:end] for half, (start, end) in zip(_halves(row), spans, strict=True))
    )


def _shaped(parts: tuple[str, ...]) -> str | tuple[str, ...]:
    return parts if len(parts) > 1 else parts[0]


def _single(encoding: Encoding) -> Encoded:
    return Encoded(encoding, (Window(encoding, tuple(range(len(encoding)))),))


def _windowed(
    tokenizer: Any,  # noqa: ANN401
    row: Row,
    *,
    max_length: int,
    stride: int,
) -> Encoded | None:
    """Read a text in windows that overlap by `stride` tokens, or None where they have no room.

    Of a pair the longer half is divided, and each window holds the whole of the other.
    """
    halves = _halves(row)
    (found,) = _call(tokenizer, [_shaped(halves)])
    full = _encoding(found, halves)
    counts = [content(full, segment) for segment in (TEXT, PAIR)]
    divided = TEXT if counts[TEXT] >= counts[PAIR] else PAIR
    if max_length - (len(full) - counts[divided]) <= stride:
        return None
    with _cutting_at_the_end(tokenizer):
        found = _call(
            tokenizer,
            [_shaped(halves)],
            truncation=ONLY[divided],
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
        )
    windows = [_encoding(encoding, halves) for encoding in found]
    return _joined(windows, full, divided=divided, stride=stride)


def _joined(windows: Sequence[Encoding], full: Encoding, *, divided: int, stride: int) -> Encoded:
    """Say where the tokens of each window lie in the full text.

    Before and behind the divided half every window has the same tokens: template, other half.
    """
    counts = [content(window, divided) for window in windows]
    starts = accumulate((count - stride for count in counts[:-1]), initial=0)
    before = _first(full, divided)
    behind = len(full) - before - content(full, divided)
    placed = []
    for window, count, start in zip(windows, counts, starts, strict=True):
        middle = range(before + start, before + start + count)
        positions = (*range(before), *middle, *range(len(full) - behind, len(full)))
        placed.append(Window(window, positions))
    return Encoded(full, tuple(placed))


def _first(encoding: Encoding, segment: int) -> int:
    """Return the place of the first token of a half's own."""
    flags = zip(encoding.segments, encoding.special, strict=True)
    return next(place for place, (of, special) in enumerate(flags) if of == segment and not special)


def content(encoding: Encoding, segment: int) -> int:
    """Count the tokens of a half that lie in its text."""
    return sum(
        of == segment and not special
        for of, special in zip(encoding.segments, encoding.special, strict=True)
    )


@contextmanager
def _cutting_at_the_end(tokenizer: Any) -> Iterator[None]:  # noqa: ANN401
    """Have windows counted from the start of the text, whatever side the tokenizer cuts at."""
    side = tokenizer.truncation_side
    tokenizer.truncation_side = "right"
    try:
        yield
    finally:
        tokenizer.truncation_side = side


def _call(tokenizer: Any, texts: Sequence[object], **options: Any) -> list[Any]:  # noqa: ANN401
    """Return the tokenizers library's encodings of texts and pairs."""
    batch = tokenizer(
        texts,
        return_attention_mask=False,
        return_token_type_ids=False,  # they are in the encodings, whatever the batch has
        split_special_tokens=True,
        **options,
    )
    return list(batch.encodings)


def _encoding(
    encoding: Any,  # noqa: ANN401 - tokenizers has no types
    halves: Sequence[str],
    spans: Sequence[Span] | None = None,
) -> Encoding:
    """Return what the model reads, with offsets in the halves, of which `spans` were encoded."""
    starts = [0] * len(halves) if spans is None else [start for start, _ in spans]
    special = tuple(bool(flag) for flag in encoding.special_tokens_mask)
    segments = tuple(_segments(encoding.sequence_ids))
    moved = (
        (start + starts[half], end + starts[half])
        for (start, end), half in zip(encoding.offsets, segments, strict=True)
    )
    told = zip(moved, segments, special, strict=True)
    return Encoding(
        ids=tuple(encoding.ids),
        type_ids=tuple(encoding.type_ids),
        tokens=tuple(encoding.tokens),
        offsets=tuple(_offsets(halves, told)),
        special=special,
        segments=segments,
        truncated=bool(encoding.overflowing),
    )


def _segments(sequence_ids: Sequence[int | None]) -> Iterator[int]:
    """Yield the half of each token; one of the template counts with what is before it."""
    last = TEXT
    for sequence in sequence_ids:
        last = last if sequence is None else int(sequence)
        yield last


def _offsets(halves: Sequence[str], tokens: Iterable[_Told]) -> Iterator[tuple[int, int]]:
    """Yield where each token lies in its half: in order, inside, and without white space around it.

    A token that is nothing but white space keeps it; a special one lies nowhere, at (0, 0).
    """
    reached = [0] * len(halves)
    for (start, end), segment, is_special in tokens:
        if is_special:
            yield 0, 0
            continue
        text = halves[segment]
        before = max(reached[segment], min(start, len(text)))
        covered = text[before : max(before, end)]
        visible = covered.strip() or covered
        if len(visible) < len(covered):
            before += covered.index(visible)
        reached[segment] = before
        yield before, before + len(visible)
