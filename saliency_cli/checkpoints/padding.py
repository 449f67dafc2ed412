"""The id that texts are padded with, as model and tokenizer have to agree on it."""

from typing import Any

from torch import nn

NO_ID = -1
"""Stands for a padding token in a config where no text may be padded: no token has this id."""


def settle_padding(module: nn.Module, tokenizer: Any) -> int:  # noqa: ANN401
    """Return the id to pad with, and give one to a model that was saved without.

    GPT-2, Llama and their like look for the last token that is not padding, and refuse a batch if
    they know of none. The tokenizer's padding serves if no text holds it. Otherwise the last place
    is taken for the last token, which is right for texts of equal length; the probe finds that
    others cannot be padded.
    """
    config = getattr(module, "config", None)
    known = getattr(config, "pad_token_id", None)
    own = tokenizer.pad_token_id
    if config is not None and known is None:
        in_texts = own is None or own in tokenizer("")["input_ids"]
        config.pad_token_id = NO_ID if in_texts else own
    usable = (int(pad) for pad in (known, own) if pad is not None and pad >= 0)
    return next(usable, 0)
