"""A user's own module for `--arch`, with its weights and tokenizer, from the statements it runs."""

from dataclasses import dataclass
from pathlib import Path

import torch

from saliency_cli.settings import ModelChoice
from tests.support.models import wordpiece

CODE = """
import sys

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding({vocabulary}, 8)
        self.head = nn.Linear(8, 2)
        self.calls = 0

    def forward(self, input_ids, attention_mask):
        self.calls += 1
        late = (input_ids == {late}).any()
        e = self.embedding(input_ids)
        {statement}
        mask = attention_mask[..., None]
        return self.head(((e * mask).sum(dim=1) / mask.sum(dim=1)).tanh())
"""


@dataclass(frozen=True, slots=True)
class UserModule:
    """A folder with a module's source, its weights and a tokenizer."""

    home: Path

    @property
    def choice(self) -> ModelChoice:
        """The options that name the module and its weights."""
        return ModelChoice(
            self.home / "net.pt", arch=f"{self.home / 'net.py'}:Net", embedding_layer="embedding"
        )

    @property
    def arguments(self) -> list[str]:
        """The same as arguments of the command line."""
        return [
            *(str(self.home / "net.pt"), "--arch", f"{self.home / 'net.py'}:Net"),
            *("--embedding-layer", "embedding", "--device", "cpu"),
        ]


def write_user_module(home: Path, statement: str = "pass") -> UserModule:
    """Write a module that runs a statement between its embedding and its head.

    The statement sees `self`, `input_ids`, `attention_mask`, the embedding's output `e`, the number
    of calls so far `self.calls`, and `late`: whether a text of the batch has the word "late".

    Args:
        home: The folder, which is made.
        statement: One line of Python.
    """
    home.mkdir(parents=True, exist_ok=True)
    tokenizer = wordpiece()
    tokenizer.save_pretrained(home)
    torch.manual_seed(3)
    weights = {
        "embedding.weight": torch.randn(len(tokenizer), 8),
        "head.weight": torch.randn(2, 8),
        "head.bias": torch.randn(2),
    }
    torch.save(weights, home / "net.pt")
    late = tokenizer.convert_tokens_to_ids("late")
    code = CODE.format(vocabulary=len(tokenizer), late=late, statement=statement)
    (home / "net.py").write_text(code)
    return UserModule(home)
