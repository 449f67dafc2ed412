"""Which part of a long text decides what a tokenizer keeps of it, so that the rest is not read.

A million characters would take seconds, and all but the first few thousand are then cut away. A
part is enough where more tokens than are kept lie out of reach of the cut: in the half of the part
that is far from it, and in another word than the cut. Else a larger part is tried, at last all.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

Span: TypeAlias = tuple[int, int]
Parts: TypeAlias = tuple[str, ...]
CHARACTERS = 64
"""Characters a token that are tried first; most languages have 2 to 5."""
GROWTH = 4


def deciding_spans(
    tokenizer: Any,  # noqa: ANN401 - tokenizers has no types
    halves: Sequence[str],
    *,
    max_length: int,
    tokenize: Callable[[Parts], Any],
) -> tuple[Span, ...]:
    """Return the part of each half that decides which `max_length` tokens are kept of them."""
    most = CHARACTERS * max_length
    from_left = tokenizer.truncation_side == "left"
    while max(map(len, halves)) > most:
        spans = tuple(_span(len(half), most, from_left=from_left) for half in halves)
        parts = tuple(half[start:end] for half, (start, end) in zip(halves, spans, strict=True))
        safe = _safe_counts(tokenizer, tokenize(parts), parts, from_left=from_left)
        cut = [len(part) < len(half) for part, half in zip(parts, halves, strict=True)]
        if _enough(safe, cut, max_length=max_length):
            return spans
        most *= GROWTH
    return tuple((0, len(half)) for half in halves)


def _span(length: int, most: int, *, from_left: bool) -> Span:
    return (max(length - most, 0), length) if from_left else (0, min(length, most))


def _enough(safe: Sequence[tuple[int, int]], cut: Sequence[bool], *, max_length: int) -> bool:
    """Say whether the tokens kept are known, given those of each half: out of reach, and all.

    Of a pair the longer half is cut first, so it must be known which that is.
    """
    known = [own for (own, _), is_cut in zip(safe, cut, strict=True) if is_cut]
    whole = [every for (_, every), is_cut in zip(safe, cut, strict=True) if not is_cut]
    return len(known) == 1 and known[0] > max([max_length, *whole])


def _safe_counts(
    tokenizer: Any,  # noqa: ANN401
    encoding: Any,  # noqa: ANN401
    parts: Parts,
    *,
    from_left: bool,
) -> list[tuple[int, int]]:
    """Count, of each part, the tokens that lie out of reach of its cut, and all of its tokens."""
    told = list(zip(encoding.sequence_ids, encoding.word_ids, encoding.offsets, strict=True))
    counts = []
    for half, part in enumerate(parts):
        own = [(word, offset) for sequence, word, offset in told if sequence == half]
        safe = _after_cut(own, part) if from_left else _before_cut(own, part, tokenizer)
        counts.append((safe, len(own)))
    return counts


def _before_cut(own: list[tuple[int, Span]], part: str, tokenizer: Any) -> int:  # noqa: ANN401
    """Count the tokens that what is cut off at the right cannot change.

    BPE merges from the left, so even those of the word that is cut are safe far from the cut.
    """
    merging = type(tokenizer.backend_tokenizer.model).__name__ == "BPE"
    last = own[-1][0] if own else None
    return sum(2 * end <= len(part) and (merging or word != last) for word, (_, end) in own)


def _after_cut(own: list[tuple[int, Span]], part: str) -> int:
    """Count the tokens that what is cut off at the left cannot change.

    Digits are grouped from the left and letters merged; all of that starts afresh at white space.
    """
    if len(part[: len(part) // 2].split()) < 2:
        return 0
    first = own[0][0] if own else None
    return sum(2 * start >= len(part) and word != first for word, (start, _) in own)
