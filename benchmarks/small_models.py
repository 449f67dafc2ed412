"""Small classifiers of many architectures, trained within a minute on labelled texts."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

Example: TypeAlias = tuple[str, int]
"""A text, and the index of its label."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BATCH = 32
LONGEST = 96
WORD_REPEATS = 1_000
"""How often each word that must be one token is shown to the tokenizer's training."""
SIZES = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "BertConfig": {},
    "DistilBertConfig": {},
    "RobertaConfig": {},
    "ElectraConfig": {"embedding_size": 64},
    "DebertaV2Config": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "position_buckets": 16,
        "pooler_hidden_size": 128,
    },
    "ModernBertConfig": {"local_attention": 16, "global_attn_every_n_layers": 2},
    "GPT2Config": {},
    "LlamaConfig": {},
}


def build_tokenizer(texts: Sequence[str], words: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return a WordPiece tokenizer trained on texts.

    Args:
        texts: The texts.
        words: Words that must be one token each.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token=SPECIAL[1]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=3000, special_tokens=[*SPECIAL])
    tokenizer.train_from_iterator([*texts, *[*words] * WORD_REPEATS], trainer)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ("pad", "unk", "cls", "sep", "mask")
    roles = {f"{name}_token": token for name, token in zip(names, SPECIAL, strict=True)}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LONGEST, **roles)


def train(
    name: str,
    tokenizer: PreTrainedTokenizerFast,
    labels: Sequence[str],
    batch: Callable[[random.Random], list[Example]],
    *,
    steps: int,
) -> Any:  # noqa: ANN401 - a model of transformers
    """Return a trained model.

    Args:
        name: A key of `CONFIGS`.
        tokenizer: Its tokenizer.
        labels: The names of its labels.
        batch: Returns the next texts to learn.
        steps: Number of batches.
    """
    names = {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
    values = {**SIZES, "vocab_size": len(tokenizer), "num_labels": len(labels), **CONFIGS[name]}
    config = getattr(transformers, name)(**values, **names)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    chance = random.Random(0)  # noqa: S311 - no secret
    for _ in range(steps):
        examples = batch(chance)
        targets = torch.tensor([label for _, label in examples])
        found = logits(model, tokenizer, [text for text, _ in examples])
        torch.nn.functional.cross_entropy(found, targets).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return model.eval()


def logits(model: Any, tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:  # noqa: ANN401
    """Return the logits [B, C] of texts.

    Args:
        model: A model of transformers.
        tokenizer: Its tokenizer.
        texts: The texts.
    """
    inputs = tokenizer([*texts], padding=True, truncation=True, return_tensors="pt")
    names = ("input_ids", "attention_mask")
    found: torch.Tensor = model(**{name: inputs[name] for name in names}).logits
    return found


def predictions(model: Any, tokenizer: Any, texts: Sequence[str]) -> list[int]:  # noqa: ANN401
    """Return the index of the label that is predicted for each text.

    Args:
        model: A model of transformers.
        tokenizer: Its tokenizer.
        texts: The texts.
    """
    found: list[int] = []
    with torch.no_grad():
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            found += logits(model, tokenizer, batch).argmax(dim=1).tolist()
    return found


def save(model: Any, tokenizer: Any, folder: Path) -> Path:  # noqa: ANN401
    """Write model and tokenizer to a folder, and return it.

    Args:
        model: A model of transformers.
        tokenizer: Its tokenizer.
        folder: The folder.
    """
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
