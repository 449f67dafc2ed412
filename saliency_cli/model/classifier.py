"""The loaded model and what the engine needs to know about it, whatever files it came from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from saliency_cli.settings import HeadName, MatmulBackend, PropagationName


@dataclass(frozen=True, slots=True)
class Classifier:
    """A text classifier in eval mode, whose parameters require no gradient.

    Attributes:
        module: The model. Its `forward` takes the tensors that `inputs` names.
        tokenizer: A fast tokenizer of transformers.
        labels: The names of the logits, in their order.
        head: How the logits are read: see `heads`.
        embedding_name: The name of `embedding` in `module`.
        embedding: The layer to whose output noise is added and at which the gradient is taken.
        max_length: Maximum number of tokens of a text, special tokens included.
        pad_id: The token id with which batches are padded.
        inputs: The names of the tensors that `module.forward` takes.
        device: Where `module` is.
        dtype: The number format in which `module` runs.
        attention: The name of the attention implementation, as transformers has it.
        matmul_backend: The library that multiplies float32 matrices: see `matmul`.
        propagation: How backward passes run: by the rules of `model.conservative`, or as autograd
            has it.
        padding_blind: Whether padding beside a text leaves the text's logits unchanged.
        hashes: SHA-256 of the model's and of the tokenizer's files, by file name.
        without_rule: Operations of the model for which conservative propagation has no rule; where
            there are any, propagation is standard.
        tokens_first: Whether the embedding layer returns [L, B, H] instead of [B, L, H].
        dtype_error: How much `dtype` changes scores, as a share of their size; 0 for float32.
        repeats: Whether two passes over one text have the same logits: not with dropout left on.
        deterministic: Whether runs repeat exactly: passes do, and all kernels add up in a fixed
            order.
        remarks: What a user should know of how the files were read, in a sentence each.
        check_code: Raises CheckpointError if code of the user's was imported that `hashes` lacks.
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
    propagation: PropagationName = "standard"
    without_rule: tuple[str, ...] = ()
    tokens_first: bool = False
    dtype_error: float = 0.0
    repeats: bool = True
    deterministic: bool = True
    remarks: tuple[str, ...] = ()
    check_code: Callable[[], None] = lambda: None
