"""Texts and pairs -> token ids with offsets in the unchanged text; windows of long texts.

A segment is one of the texts that a row has: `TEXT`, or `PAIR` for the second text of a pair.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, TypeAlias

from saliency_cli.model.truncation import Span, spans_to_tokenize
from saliency_cli.records import Encoded, Encoding, Row, Window

TEXT, PAIR = 0, 1
TRUNCATION = {TEXT: "only_first", PAIR: "only_second"}
"""transformers' name for truncating one segment only."""
_Token: TypeAlias = tuple[Span, int, bool]
"""A token's offsets, its segment, and whether it is a special token."""


def encode(tokenizer: Any, texts: Sequence[str], *, max_length: int) -> list[Encoding]:  # noqa: ANN401
    """Return the encodings of single texts, truncated.

    Offsets count code points of the text as given, whatever the tokenizer's normalizer changes. The
    name of a special token in a text, such as "[SEP]", is treated as text if the tokenizer has
    `split_special_tokens`.

    Args:
        tokenizer: A fast tokenizer of transformers.
        texts: The texts.
        max_length: Maximum number of tokens, special tokens included.
    """
    raw = _tokenize(tokenizer, list(texts), truncation=True, max_length=max_length)
    return [_encoding(encoding, (text,)) for encoding, text in zip(raw, texts, strict=True)]


def encode_rows(
    tokenizer: Any,  # noqa: ANN401
    rows: Sequence[Row],
    *,
    max_length: int,
    stride: int | None = None,
) -> list[Encoded]:
    """Return the encodings of rows, of which each is a text or a pair of texts.

    Args:
        tokenizer: A fast tokenizer of transformers.
        rows: The rows.
        max_length: Maximum number of tokens, special tokens included.
        stride: Tokens by which the windows of a long text overlap; None to truncate it instead. Of
            a text that is truncated, only the part that decides which tokens are kept is read.
    """
    if not rows:
        return []
    # Windows need the whole text, so its spans are cut only where it is truncated.
    cut_length = max_length if stride is None else None
    spans = [_spans(tokenizer, row, max_length=cut_length) for row in rows]
    raw = _tokenize(
        tokenizer, [*map(_tokenizer_input, rows, spans)], truncation=True, max_length=max_length
    )
    encodings = map(_encoding, raw, map(_segment_texts, rows), spans)
    return [
        _in_windows(tokenizer, row, max_length=max_length, stride=stride) or _in_one(encoding)
        if encoding.truncated and stride is not None
        else _in_one(encoding)
        for row, encoding in zip(rows, encodings, strict=True)
    ]


def _segment_texts(row: Row) -> tuple[str, ...]:
    return (row.text,) if row.pair is None else (row.text, row.pair)


def _spans(tokenizer: Any, row: Row, *, max_length: int | None) -> tuple[Span, ...]:  # noqa: ANN401
    """Return the span of each text of a row that has to be read: all of it without a length."""
    texts = _segment_texts(row)
    if max_length is None:
        return tuple((0, len(text)) for text in texts)
    return spans_to_tokenize(
        tokenizer,
        texts,
        max_length=max_length,
        tokenize=lambda parts: _tokenize(tokenizer, [_text_or_pair(parts)])[0],
    )


def _tokenizer_input(row: Row, spans: Sequence[Span]) -> str | tuple[str, ...]:
    """Return those spans of a row's texts as transformers takes them."""
    texts = _segment_texts(row)
    return _text_or_pair(
        tuple(text[start:end] for text, (start, end) in zip(texts, spans, strict=True))
    )


def _text_or_pair(parts: tuple[str, ...]) -> str | tuple[str, ...]:
    return parts if len(parts) > 1 else parts[0]


def _in_one(encoding: Encoding) -> Encoded:
    """Return a text that the model reads in one window."""
    return Encoded(encoding, (Window(encoding, tuple(range(len(encoding)))),))


def _in_windows(
    tokenizer: Any,  # noqa: ANN401
    row: Row,
    *,
    max_length: int,
    stride: int,
) -> Encoded | None:
    """Return a text in windows that overlap by `stride` tokens, or None if a window is too short.

    Of a pair the longer text is divided, and each window holds the whole of the other text.
    """
    texts = _segment_texts(row)
    (raw,) = _tokenize(tokenizer, [_text_or_pair(texts)])
    full = _encoding(raw, texts)
    counts = [count_text_tokens(full, segment) for segment in (TEXT, PAIR)]
    divided = TEXT if counts[TEXT] >= counts[PAIR] else PAIR
    if max_length - (len(full) - counts[divided]) <= stride:
        return None
    with _truncating_on_the_right(tokenizer):
        raw_windows = _tokenize(
            tokenizer,
            [_text_or_pair(texts)],
            truncation=TRUNCATION[divided],
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
        )
    windows = [_encoding(encoding, texts) for encoding in raw_windows]
    return _with_positions(windows, full, divided=divided, stride=stride)


def _with_positions(
    windows: Sequence[Encoding], full: Encoding, *, divided: int, stride: int
) -> Encoded:
    """Return the windows with the positions of their tokens in the full text.

    Before and after the divided segment every window has the same tokens: those of the template and
    of the other segment.
    """
    counts = [count_text_tokens(window, divided) for window in windows]
    starts = accumulate((count - stride for count in counts[:-1]), initial=0)
    before = _first_text_token(full, divided)
    after = len(full) - before - count_text_tokens(full, divided)
    placed = []
    for window, count, start in zip(windows, counts, starts, strict=True):
        middle = range(before + start, before + start + count)
        positions = (*range(before), *middle, *range(len(full) - after, len(full)))
        placed.append(Window(window, positions))
    return Encoded(full, tuple(placed))


def _first_text_token(encoding: Encoding, segment: int) -> int:
    """Return the position of a segment's first token that is not a special token."""
    tokens = zip(encoding.segments, encoding.special, strict=True)
    return next(
        position
        for position, (token_segment, special) in enumerate(tokens)
        if token_segment == segment and not special
    )


def count_text_tokens(encoding: Encoding, segment: int) -> int:
    """Return the number of a segment's tokens, special tokens not counted.

    Args:
        encoding: The tokens of a text or pair.
        segment: `TEXT` or `PAIR`.
    """
    return sum(
        token_segment == segment and not special
        for token_segment, special in zip(encoding.segments, encoding.special, strict=True)
    )


@contextmanager
def _truncating_on_the_right(tokenizer: Any) -> Iterator[None]:  # noqa: ANN401
    """Make the tokenizer count windows from the start of the text, then restore its side."""
    side = tokenizer.truncation_side
    tokenizer.truncation_side = "right"
    try:
        yield
    finally:
        tokenizer.truncation_side = side


def _tokenize(tokenizer: Any, texts: Sequence[object], **options: Any) -> list[Any]:  # noqa: ANN401
    """Return the encodings of texts and pairs, as the tokenizers library has them."""
    batch = tokenizer(
        texts,
        return_attention_mask=False,
        return_token_type_ids=False,  # the encodings have them in any case
        **options,
    )
    return list(batch.encodings)


def _encoding(
    raw: Any,  # noqa: ANN401 - tokenizers has no types
    texts: Sequence[str],
    spans: Sequence[Span] | None = None,
) -> Encoding:
    """Return an encoding with offsets in the whole texts, of which only `spans` were tokenized."""
    starts = [0] * len(texts) if spans is None else [start for start, _ in spans]
    special = tuple(map(bool, raw.special_tokens_mask))
    segments = (TEXT,) * len(special) if len(texts) == 1 else tuple(_segments(raw.sequence_ids))
    offsets = raw.offsets
    if any(starts):
        offsets = [
            (start + starts[segment], end + starts[segment])
            for (start, end), segment in zip(offsets, segments, strict=True)
        ]
    tokens = zip(offsets, segments, special, strict=True)
    return Encoding(
        ids=tuple(raw.ids),
        type_ids=tuple(raw.type_ids),
        tokens=tuple(raw.tokens),
        offsets=tuple(_ordered_offsets(texts, tokens)),
        special=special,
        segments=segments,
        truncated=bool(raw.overflowing),
    )


def _segments(sequence_ids: Sequence[int | None]) -> Iterator[int]:
    """Yield the segment of each token; a special token belongs to the segment before it."""
    last = TEXT
    for sequence in sequence_ids:
        last = last if sequence is None else int(sequence)
        yield last


def _ordered_offsets(texts: Sequence[str], tokens: Iterable[_Token]) -> Iterator[Span]:
    """Yield each token's offsets in its text: in order, inside the text, white space stripped.

    A token of only white space keeps it; a special token has (0, 0).
    """
    last_starts = [0] * len(texts)
    for (start, end), segment, is_special in tokens:
        if is_special:
            yield 0, 0
            continue
        text = texts[segment]
        # Nearly all tokens are in order, and begin and end with a character that is no white space.
        if last_starts[segment] <= start < end <= len(text) and not (
            text[start].isspace() or text[end - 1].isspace()
        ):
            last_starts[segment] = start
            yield start, end
            continue
        start = max(last_starts[segment], min(start, len(text)))  # noqa: PLW2901
        covered = text[start : max(start, end)]
        stripped = covered.strip() or covered
        if len(stripped) < len(covered):
            start += covered.index(stripped)  # noqa: PLW2901
        last_starts[segment] = start
        yield start, start + len(stripped)
