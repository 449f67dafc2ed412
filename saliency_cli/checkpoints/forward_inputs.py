"""What a model's `forward` takes: the names of its tensors, and those of a sample text."""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from saliency_cli.checkpoints.tokenizers import SAMPLE_TEXT
from saliency_cli.errors import CheckpointError
from saliency_cli.safe_text import visible


def sample_inputs(module: nn.Module, tokenizer: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the inputs of a sample text, to trace which layer looks up the token ids.

    Args:
        module: The model.
        tokenizer: Its tokenizer.
    """
    ids = torch.tensor([tokenizer(SAMPLE_TEXT)["input_ids"]])
    tensors = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    accepted = forward_inputs(module, tokenizer)
    return {name: tensor for name, tensor in tensors.items() if name in accepted}


def forward_inputs(module: nn.Module, tokenizer: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of the tensors that `forward` is called with.

    `token_type_ids` is passed only if the tokenizer has it too: GPT-2 embeds these ids with the
    same table as tokens.

    Args:
        module: The model.
        tokenizer: Its tokenizer.

    Raises:
        CheckpointError: `forward` takes no token ids.
    """
    parameters = inspect.signature(module.forward).parameters
    any_keyword = any(each.kind == each.VAR_KEYWORD for each in parameters.values())
    if "input_ids" not in parameters and any_keyword:
        return ("input_ids", "attention_mask")
    if "input_ids" not in parameters:
        raise CheckpointError(
            f"forward of {visible(type(module).__name__)} takes no input_ids",
            "name its arguments input_ids and, if it handles padding, attention_mask",
        )
    has_segments = "token_type_ids" in tokenizer.model_input_names
    known = ("input_ids", "attention_mask", *(["token_type_ids"] if has_segments else []))
    return tuple(name for name in known if name in parameters)
