"""The types that describe a checkpoint on disk and what reading it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from torch import Tensor, nn

Weights: TypeAlias = dict[str, Tensor]
Content: TypeAlias = Weights | nn.Module
"""Named tensors or, only with --unsafe-pickle, a whole module."""


@dataclass(frozen=True, slots=True)
class SentenceStep:
    """A part of a sentence-transformers model: the last name of its class, and its folder."""

    kind: str
    folder: Path


@dataclass(frozen=True, slots=True)
class SentenceFiles:
    """The parts of a sentence classifier beside its encoder.

    Attributes:
        folder: The folder that holds `modules.json`.
        steps: The pooling, and the layers after it.
        head: The file of the head.
        max_length: The longest input, in tokens, if the settings name one.
    """

    folder: Path
    steps: tuple[SentenceStep, ...]
    head: Path
    max_length: int | None


@dataclass(frozen=True, slots=True)
class CheckpointFiles:
    """The files of a checkpoint and the function that reads them; no weights are read yet.

    Attributes:
        format: The name of the format, as `saliency inspect` prints it.
        path: The file that `read` takes: weights or the index of shards.
        files: Every file that decides the weights; the manifest has their hashes.
        folders: Where the config and the tokenizer may be; the first that has them is used.
        read: Reads `path`.
        sentence: What belongs to a sentence classifier beside its encoder, whose weights are read.
        base: The base model of an adapter, whose files are in `files` too.
    """

    format: str
    path: Path
    files: tuple[Path, ...]
    folders: tuple[Path, ...]
    read: Callable[[Path], Content]
    base: "CheckpointFiles | None" = None
    sentence: SentenceFiles | None = None
