"""A text's attention weights without a model, and their page."""

from pathlib import Path

import torch

from saliency_cli.model.attentions import TextAttention
from saliency_cli.records import Record
from saliency_cli.report.attention_page import Subject, write_attention_page


def attention_of(record: Record, *, layers: int = 2, heads: int = 3) -> TextAttention:
    """Return random attention weights for the tokens of a record, whose first token is read.

    Args:
        record: The record of a text.
        layers: The number of layers.
        heads: The heads of each.
    """
    tokens = len(record["tokens"])
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(layers, heads, tokens, tokens, generator=generator)
    return TextAttention(logits.softmax(dim=-1), torch.eye(tokens)[0])


def write_page(path: Path, record: Record, attention: TextAttention | None = None) -> Path:
    """Write the page of a record and return its path.

    Args:
        path: The file.
        record: The record of a text.
        attention: Its attention weights; random ones by default.
    """
    subject = Subject("model.pt", "SmoothGrad", signed=True)
    write_attention_page(path, record, attention or attention_of(record), subject)
    return path
