"""How many tokens a model takes."""

from typing import Any

from torch import nn

from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.settings import Compute

UNLIMITED = 1_000_000
"""Tokenizers that were told no length say 10³⁰; a text is still cut somewhere."""


def longest(module: nn.Module, tokenizer: Any, config: Any) -> int:  # noqa: ANN401
    """Return the longest input, special tokens counted, that tokenizer and positions allow."""
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        positions = UNLIMITED
    return min(int(tokenizer.model_max_length), positions - _reserved(module, positions), UNLIMITED)


def _reserved(module: nn.Module, positions: int) -> int:
    """Count the position rows that no token gets: RoBERTa numbers its tokens from padding + 1."""
    tables = (layer for layer in module.modules() if isinstance(layer, nn.Embedding))
    padded = [
        table.padding_idx + 1
        for table in tables
        if table.num_embeddings == positions and table.padding_idx is not None
    ]
    return max(padded, default=0)


def choose_length(asked: int | None, *, most: int, special: int) -> int:
    """Return the tokens after which a text is cut: as asked for, or the `most` that there may be.

    Raises:
        UsageError: the model takes fewer, or the `special` ones leave no room for the text.
    """
    if asked is None:
        return most
    if asked > most:
        raise UsageError(f"--max-length {asked}: the model takes {most} tokens at most")
    if asked <= special:
        raise UsageError(f"--max-length {asked}: the tokenizer's own tokens take {special} of them")
    return asked


def choose_stride(compute: Compute, classifier: Classifier) -> int | None:
    """Return by how many tokens the windows of a long text overlap, or None to cut it instead.

    Raises:
        UsageError: no window would be left room for text of its own.
    """
    if compute.stride is None:
        return None
    room = classifier.max_length - int(classifier.tokenizer.num_special_tokens_to_add())
    if compute.stride >= room:
        raise UsageError(
            f"--stride {compute.stride}: a window holds {room} tokens of text",
            "give fewer tokens to overlap by",
        )
    return compute.stride
