"""What the engine needs to know of a model, whatever files it came from."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from saliency_cli.settings import HeadName, MatmulBackend


@dataclass(frozen=True, slots=True)
class Classifier:
    """A module in eval mode that asks for no gradient of its own, and what goes with it.

    `labels` name the logits in their order, and `head` tells how those are meant; `embedding` is
    the layer whose output the noise is added to and the gradient taken at; `inputs` are the tensors
    that `forward` is given; `products` is who multiplies its matrices (`kernels`); `padding_blind`
    says that padding beside a text leaves its logits alone; `tokens_first` that the layer gives
    [L, B, H] and not [B, L, H]; `rounding` is what the number format moves scores by, as a share of
    their size; `repeatable` that no kernel heeds timing; `hashes` are the SHA-256 of the files of
    model and tokenizer, by their names.
    """

    module: nn.Module
    tokenizer: Any
    labels: tuple[str, ...]
    head: HeadName
    embedding_name: str
    embedding: nn.Module
    max_length: int
    pad_id: int
    inputs: tuple[str, ...]
    device: torch.device
    dtype: torch.dtype
    attention: str
    matmul_backend: MatmulBackend
    padding_blind: bool
    hashes: dict[str, dict[str, str]]
    tokens_first: bool = False
    dtype_error: float = 0.0
    deterministic: bool = True
