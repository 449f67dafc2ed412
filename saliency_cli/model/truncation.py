"""The part of a long text that decides which tokens a tokenizer keeps, so that the rest is skipped.

Tokenizing a million characters takes seconds, and all tokens but the first few thousand are then
dropped. A part of the text is enough if more tokens than are kept lie out of reach of the cut: in
the half of the part that is far from it, and in another word than the one that is cut. If a part is
not enough, a larger one is tried, and finally the whole text.

A text is one of the one or two texts of a row; a part is a piece of a text.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

Span: TypeAlias = tuple[int, int]
"""Start and end in a text, in code points."""
Parts: TypeAlias = tuple[str, ...]
CHARACTERS_PER_TOKEN = 64
"""Characters for each kept token in the first part that is tried; most languages have 2 to 5."""
GROWTH = 4


class _TokenCounts(NamedTuple):
    """The tokens of a part: those that are the same without a cut (`safe`), and all."""

    safe: int
    total: int


def spans_to_tokenize(
    tokenizer: Any,  # noqa: ANN401 - tokenizers has no types
    texts: Sequence[str],
    *,
    max_length: int,
    tokenize: Callable[[Parts], Any],
) -> tuple[Span, ...]:
    """Return the span of each text that decides which `max_length` tokens are kept.

    Args:
        tokenizer: A fast tokenizer of transformers.
        texts: The text of a row, and its pair if it has one.
        max_length: Maximum number of tokens, special tokens included.
        tokenize: Returns the encoding of some parts of the texts.
    """
    most = CHARACTERS_PER_TOKEN * max_length
    from_left = tokenizer.truncation_side == "left"
    while max(map(len, texts)) > most:
        spans = tuple(_span(len(text), most, from_left=from_left) for text in texts)
        parts = tuple(text[start:end] for text, (start, end) in zip(texts, spans, strict=True))
        counts = _count_tokens(tokenizer, tokenize(parts), parts, from_left=from_left)
        is_cut = [len(part) < len(text) for part, text in zip(parts, texts, strict=True)]
        if _are_enough(counts, is_cut, max_length=max_length):
            return spans
        most *= GROWTH
    return tuple((0, len(text)) for text in texts)


def _span(length: int, most: int, *, from_left: bool) -> Span:
    return (max(length - most, 0), length) if from_left else (0, min(length, most))


def _are_enough(counts: Sequence[_TokenCounts], is_cut: Sequence[bool], *, max_length: int) -> bool:
    """Whether the parts decide which tokens are kept.

    A tokenizer shortens the longer text of a pair first, so it must be certain which one that is:
    exactly one part may be cut, and its safe tokens must outnumber all tokens of the other.
    """
    safe = [count.safe for count, cut in zip(counts, is_cut, strict=True) if cut]
    whole = [count.total for count, cut in zip(counts, is_cut, strict=True) if not cut]
    return len(safe) == 1 and safe[0] > max([max_length, *whole])


def _count_tokens(
    tokenizer: Any,  # noqa: ANN401
    encoding: Any,  # noqa: ANN401
    parts: Parts,
    *,
    from_left: bool,
) -> list[_TokenCounts]:
    """Return the token counts of each part."""
    tokens = list(zip(encoding.sequence_ids, encoding.word_ids, encoding.offsets, strict=True))
    counts = []
    for index, part in enumerate(parts):
        part_tokens = [(word, span) for sequence, word, span in tokens if sequence == index]
        if from_left:
            safe = _safe_after_cut(part_tokens, part)
        else:
            safe = _safe_before_cut(part_tokens, part, tokenizer)
        counts.append(_TokenCounts(safe, len(part_tokens)))
    return counts


def _safe_before_cut(
    tokens: list[tuple[int, Span]],
    part: str,
    tokenizer: Any,  # noqa: ANN401
) -> int:
    """Return how many tokens of a part cannot depend on the text cut off at its right.

    BPE merges from the left, so far from the cut even tokens of the word that is cut are safe.
    """
    is_bpe = type(tokenizer.backend_tokenizer.model).__name__ == "BPE"
    last_word = tokens[-1][0] if tokens else None
    return sum(2 * end <= len(part) and (is_bpe or word != last_word) for word, (_, end) in tokens)


def _safe_after_cut(tokens: list[tuple[int, Span]], part: str) -> int:
    """Return how many tokens of a part cannot depend on the text cut off at its left.

    Digits are grouped, and letters merged, from the left, but never across white space. So a part
    without white space in its first half has no safe token.
    """
    if len(part[: len(part) // 2].split()) < 2:
        return 0
    first_word = tokens[0][0] if tokens else None
    return sum(2 * start >= len(part) and word != first_word for word, (start, _) in tokens)
