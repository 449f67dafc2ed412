"""A checkpoint as it lies on disk: which way of saving it is, and where its parts are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from torch import Tensor, nn

Weights: TypeAlias = dict[str, Tensor]
Content: TypeAlias = Weights | nn.Module
"""Named tensors, or a whole module, which only --unsafe-pickle lets through."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What `read` takes from `path`; nothing is read before that.

    `files` are all files that it reads, for the hashes; `folders` are where the config and the
    tokenizer may lie, the likeliest first; `base` is the model that an adapter was trained on.
    """

    format: str
    path: Path
    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    read: Callable[[Path], Content]
    base: "Saved | None" = None
