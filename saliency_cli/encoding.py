"""Text -> ids, offsets into the untouched text, and which tokens are the tokenizer's own."""

from collections.abc import Sequence
from typing import Any

from saliency_cli.records import Encoding


def encode(tokenizer: Any, texts: Sequence[str], *, max_length: int) -> list[Encoding]:  # noqa: ANN401
    """Encode texts, cutting each after `max_length` tokens, special ones counted.

    Offsets are code points of the text as it was given, whatever the tokenizer's normaliser did.
    """
    batch = tokenizer(
        list(texts), truncation=True, max_length=max_length, return_attention_mask=False
    )
    return [_encoding(encoding) for encoding in batch.encodings]


def _encoding(encoding: Any) -> Encoding:  # noqa: ANN401 - tokenizers.Encoding has no types
    special = tuple(bool(flag) for flag in encoding.special_tokens_mask)
    offsets = (
        (0, 0) if is_special else (int(start), int(end))
        for (start, end), is_special in zip(encoding.offsets, special, strict=True)
    )
    return Encoding(
        ids=tuple(encoding.ids),
        type_ids=tuple(encoding.type_ids),
        tokens=tuple(encoding.tokens),
        offsets=tuple(offsets),
        special=special,
        truncated=bool(encoding.overflowing),
    )
