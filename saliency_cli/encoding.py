"""Text -> ids, offsets into the untouched text, and which tokens are the tokenizer's own."""

from collections.abc import Iterator, Sequence
from typing import Any

from saliency_cli.records import Encoding


def encode(tokenizer: Any, texts: Sequence[str], *, max_length: int) -> list[Encoding]:  # noqa: ANN401
    """Encode texts, cutting each after `max_length` tokens, special ones counted.

    Offsets are code points of the text as it was given, whatever the tokenizer's normaliser did.
    The name of a special token that a text spells out is text.
    """
    batch = tokenizer(
        list(texts),
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        split_special_tokens=True,
    )
    return [_encoding(found, text) for found, text in zip(batch.encodings, texts, strict=True)]


def _encoding(encoding: Any, text: str) -> Encoding:  # noqa: ANN401 - tokenizers.Encoding has no types
    special = tuple(bool(flag) for flag in encoding.special_tokens_mask)
    return Encoding(
        ids=tuple(encoding.ids),
        type_ids=tuple(encoding.type_ids),
        tokens=tuple(encoding.tokens),
        offsets=tuple(_offsets(text, encoding.offsets, special)),
        special=special,
        truncated=bool(encoding.overflowing),
    )


def _offsets(
    text: str, told: Sequence[tuple[int, int]], special: Sequence[bool]
) -> Iterator[tuple[int, int]]:
    """Yield where in `text` each token lies: in order, inside, and without white space around it.

    A token that is nothing but white space keeps it; a special one lies nowhere, at (0, 0).
    """
    before = 0
    for (start, end), is_special in zip(told, special, strict=True):
        if is_special:
            yield 0, 0
            continue
        before = max(before, min(start, len(text)))
        covered = text[before : max(before, end)]
        visible = covered.strip() or covered
        before += covered.index(visible)
        yield before, before + len(visible)
