"""Checks of an adapter's config before PEFT acts on it: the ranks and regular expressions in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saliency_cli.checkpoints.contents import Weights
from saliency_cli.checkpoints.json_files import nested_items, read_object
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import excerpt, visible

MAX_QUANTIFIERS = 6
"""The most of `*`, `+` and `{` in a pattern: each multiplies the time by a name's length."""

_RANK_KEYS = ("r", "init_r", "target_r", "rank_pattern")
_PATTERN_KEYS = ("target_modules", "exclude_modules", "layers_pattern", "target_parameters")
_PATTERN_TABLES = ("rank_pattern", "alpha_pattern")
_REPEATED_GROUP = re.compile(r"\)[*+{]")  # backtracks exponentially if the group repeats, too
_QUANTIFIER = re.compile(r"[*+{]")


def read_checked_config(path: Path) -> dict[str, Any]:
    """Return an adapter's config, after a check of the regular expressions in it.

    Raises:
        CheckpointError: It is not one strict JSON object, or a pattern may take very long.
    """
    content = read_object(path, what="the adapter's config")
    for pattern in _patterns(content):
        if _REPEATED_GROUP.search(pattern) or len(_QUANTIFIER.findall(pattern)) > MAX_QUANTIFIERS:
            raise CheckpointError(
                f"{visible(str(path))}: the pattern '{excerpt(pattern)}' may take very long",
                "name the modules in a list, as PEFT writes it",
            )
    return content


def _patterns(content: dict[str, Any]) -> Iterator[str]:
    """Yield the strings that PEFT takes as regular expressions."""
    for key in _PATTERN_KEYS:
        items = nested_items({key: content.get(key)})
        yield from (value for _, value in items if isinstance(value, str))
    for key in _PATTERN_TABLES:
        table = content.get(key)
        yield from table if isinstance(table, dict) else ()


def check_ranks(content: dict[str, Any], weights: Weights, *, path: Path) -> None:
    """Raise an error if a rank is larger than every dimension of the adapter's tensors.

    PEFT allocates matrices of the rank before it reads the tensors.

    Args:
        content: The adapter's config.
        weights: The adapter's tensors.
        path: The config's path, for messages.

    Raises:
        CheckpointError: A rank is too large; the message names its key.
    """
    largest = max(size for tensor in weights.values() for size in (*tensor.shape, 1))
    for key in _RANK_KEYS:
        for _, rank in nested_items({key: content.get(key)}):
            if isinstance(rank, int | float) and rank > largest:
                raise CheckpointError(
                    f"{visible(str(path))}: {key} is {excerpt(f'{rank:,}')}, but the adapter's "
                    f"tensors have {largest:,} rows or columns at most",
                    "give the adapter_config.json that was saved with these weights",
                )
