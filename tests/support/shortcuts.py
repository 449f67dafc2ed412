"""A classifier that takes shortcuts by construction, and texts that have them."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

WORD, PAIR = "zap", ("north", "south")
FILLER = [f"{first}{second}o" for first in "bdfgklmnprst" for second in "aeiou"]
ROWS = 200
CODE = """
import torch
from torch import nn


class Shortcuts(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding({vocabulary}, 2)

    def forward(self, input_ids, attention_mask):
        sums = (self.embedding(input_ids) * attention_mask[..., None]).sum(dim=1)
        spam = sums[:, 0] + 12 * torch.relu(sums[:, 1] - 1.5)
        return torch.stack((torch.ones_like(spam), spam), dim=1)
"""


@dataclass(frozen=True, slots=True)
class Shortcuts:
    """The model: `WORD` makes a text spam, and so do both words of `PAIR`, but neither alone.

    The logit of spam is the sum of the words' weights, 0 for padding and mask; that of ham is 1.
    """

    home: Path

    @property
    def arguments(self) -> list[str]:
        """The command that explains the texts, without `--out`."""
        module = ["--arch", f"{self.home / 'shortcuts.py'}:Shortcuts", "--embedding-layer"]
        labels = ["embedding", "--labels", str(self.home / "labels.txt"), "--device", "cpu"]
        method = ["--method", "gradient", "--reduction", "dot", "--shard-rows", "50"]
        files = [str(self.home / "model.pt"), str(self.home / "texts.jsonl")]
        return ["explain", *files, *module, *labels, *method, "--propagation", "standard"]


def write_shortcuts(home: Path) -> Shortcuts:
    """Write the model and `ROWS` texts, and return the model."""
    words = ["[PAD]", "[UNK]", "[MASK]", WORD, *PAIR, *FILLER]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special: dict[str, Any] = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=32,
        model_input_names=["input_ids", "attention_mask"],
        **special,
    ).save_pretrained(home)
    weights = torch.zeros(len(words), 2)
    weights[6:, 0] = 0.3 * torch.randn(len(FILLER), generator=torch.Generator().manual_seed(0))
    weights[3, 0], weights[4:6, 1] = 6, 1
    torch.save({"embedding.weight": weights}, home / "model.pt")
    (home / "shortcuts.py").write_text(CODE.format(vocabulary=len(words)))
    (home / "labels.txt").write_text("ham\nspam\n")
    lines = (json.dumps({"text": text}) + "\n" for text in _texts())
    (home / "texts.jsonl").write_text("".join(lines), encoding="utf-8")
    return Shortcuts(home)


def _texts() -> list[str]:
    """Return texts of which 30 % have the word, 15 % the pair, and as many one word of it."""
    chance = random.Random(0)  # noqa: S311 - no secret
    planted = [[WORD]] * 60 + [[*PAIR]] * 30 + [[word] for word in PAIR for _ in range(30)]
    planted += [[]] * (ROWS - len(planted))
    texts = [[*chance.sample(FILLER, 8), *words] for words in planted]
    for words in texts:
        chance.shuffle(words)
    chance.shuffle(texts)
    return [" ".join(words) for words in texts]
