"""What the first texts show of a tokenizer that may not be the model's, or of special markers."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from saliency_cli.attribution.row_failures import RowFailure, guarded
from saliency_cli.model.tokenization import encode_rows
from saliency_cli.percentages import percent_number
from saliency_cli.records import Row
from saliency_cli.safe_text import excerpt, listed

CHECKED_ROWS = 200
"""Rows at the start of an input that are looked at. Those of `sample_data` take 0.1 s on two busy
cores (MiniLM's tokenizer)."""
MOST_UNKNOWN = 0.1
"""Share of unknown tokens above which a warning is due. The tokenizers of the sample and of MiniLM
know every token of the sample's first 200 texts; a published package with another vocabulary than
its model's does not know 42 % (issue 20)."""


def text_warnings(tokenizer: Any, rows: Sequence[Row], *, max_length: int) -> Iterator[str]:  # noqa: ANN401
    """Yield a warning if many tokens are unknown, and one if texts name special tokens.

    Args:
        tokenizer: A tokenizer that `checkpoints` loaded.
        rows: The first rows of the input.
        max_length: Maximum number of tokens of a text.
    """
    share = unknown_share(tokenizer, rows, max_length=max_length)
    if share > MOST_UNKNOWN:
        yield (
            f"the tokenizer does not know {percent_number(share)} % of the tokens of the first "
            f"texts ({excerpt(tokenizer.unk_token)}); if the model was trained with another "
            "tokenizer, name its folder with --tokenizer"
        )
    names = _named_special_tokens(tokenizer, rows) if tokenizer.split_special_tokens else []
    if names:
        yield (
            f"texts name special tokens, which are read as plain text: {listed(names)}; if the "
            "model was trained on them, add --special-tokens keep"
        )


def unknown_share(tokenizer: Any, rows: Sequence[Row], *, max_length: int) -> float:  # noqa: ANN401
    """Return the share of the rows' tokens that are the unknown token; 0 if there is no such token.

    Args:
        tokenizer: A tokenizer that `checkpoints` loaded.
        rows: Some rows. If the tokenizer fails on one of them, the share is 0 too: that row is
            quarantined later, with the reason.
        max_length: Maximum number of tokens of a text.
    """
    if tokenizer.unk_token_id is None:
        return 0.0
    try:
        encoded = guarded(
            "the tokenizer", lambda: encode_rows(tokenizer, rows, max_length=max_length)
        )
    except RowFailure:
        return 0.0
    tokens = [
        token
        for each in encoded
        for token, special in zip(each.whole.ids, each.whole.special, strict=True)
        if not special
    ]
    return tokens.count(tokenizer.unk_token_id) / max(1, len(tokens))


def _named_special_tokens(tokenizer: Any, rows: Sequence[Row]) -> list[str]:  # noqa: ANN401
    """Return the names of special tokens that occur in texts, sorted."""
    names = special_names(tokenizer)
    if not names:
        return []
    pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    texts = (text for row in rows for text in (row.text, row.pair or ""))
    return sorted({name for text in texts for name in pattern.findall(text)})


def special_names(tokenizer: Any) -> list[str]:  # noqa: ANN401
    """Return the names of a tokenizer's special tokens of two characters or more, sorted."""
    added = tokenizer.added_tokens_decoder.values()
    return sorted(token.content for token in added if token.special and len(token.content) > 1)
