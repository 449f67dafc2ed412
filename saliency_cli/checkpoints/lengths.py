"""Choose the longest input, in tokens, and the overlap of the windows of a long text."""

from typing import Any

from torch import nn

from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.settings import Compute

MAX_TOKENS = 1_000_000
"""The limit for a model that names none: tokenizers without a length report 10³⁰."""


def max_input_length(module: nn.Module, tokenizer: Any, config: Any) -> int:  # noqa: ANN401
    """Return the longest input that the tokenizer and the position embeddings allow.

    Args:
        module: The model.
        tokenizer: Its tokenizer.
        config: Its config; `max_position_embeddings` counts the rows of the position table.

    Returns:
        The length in tokens, special tokens included.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        positions = MAX_TOKENS
    usable = positions - _reserved_positions(module, positions)
    return min(int(tokenizer.model_max_length), usable, MAX_TOKENS)


def _reserved_positions(module: nn.Module, positions: int) -> int:
    """Return how many rows of the position table no token uses.

    RoBERTa numbers its tokens from the padding's position + 1.
    """
    tables = (layer for layer in module.modules() if isinstance(layer, nn.Embedding))
    reserved = [
        table.padding_idx + 1
        for table in tables
        if table.num_embeddings == positions and table.padding_idx is not None
    ]
    return max(reserved, default=0)


def choose_max_length(requested: int | None, *, limit: int, special_tokens: int) -> int:
    """Return the number of tokens after which a text is cut.

    Args:
        requested: The value of `--max-length`; None for `limit`.
        limit: The longest input that the model accepts, in tokens.
        special_tokens: How many special tokens the tokenizer adds to a text.

    Raises:
        UsageError: The model accepts fewer tokens, or the special tokens alone take them all.
    """
    if limit <= special_tokens:
        raise UsageError(
            f"the model accepts {max(0, limit)} tokens, and the special tokens alone take "
            f"{special_tokens}",
            "shorten --hypothesis, or correct max_position_embeddings or model_max_length",
        )
    if requested is None:
        return limit
    if requested > limit:
        raise UsageError(
            f"--max-length {requested}: the model accepts {limit} tokens at most",
            f"give {limit} or fewer",
        )
    if requested <= special_tokens:
        raise UsageError(
            f"--max-length {requested}: the special tokens alone take {special_tokens}",
            f"give more than {special_tokens}",
        )
    return requested


def choose_stride(compute: Compute, classifier: Classifier) -> int | None:
    """Return the overlap of the windows of a long text, in tokens.

    Args:
        compute: The user's options.
        classifier: The loaded model.

    Returns:
        The overlap, or None if a long text is cut and not divided into windows.

    Raises:
        UsageError: The overlap leaves no room in a window for new text.
    """
    if compute.stride is None:
        return None
    text_tokens = classifier.max_length - int(classifier.tokenizer.num_special_tokens_to_add())
    if compute.stride >= text_tokens:
        raise UsageError(
            f"--stride {compute.stride}: a window holds {text_tokens} tokens of text",
            f"give fewer than {text_tokens} tokens",
        )
    return compute.stride
