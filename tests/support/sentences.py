"""Folders as sentence-transformers and SetFit write them, around a tiny encoder."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from tests.support.models import wordpiece

WIDTH = 32
TYPES = "sentence_transformers.models"


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def save_encoder(folder: Path) -> Path:
    """Save a two-layer BERT without a head."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(wordpiece()),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    wordpiece().save_pretrained(folder)
    return folder


def save_sentence_folder(
    folder: Path,
    *,
    modes: Sequence[str] = ("mean_tokens",),
    steps: Sequence[str] = (),
    encoder: str = "",
) -> Path:
    """Save an encoder with pooling and further steps, but no head.

    Args:
        folder: Where to save it.
        modes: The pooling modes that are switched on.
        steps: "Normalize" and "Dense" in any order.
        encoder: The encoder's folder below `folder`; "" for the folder itself.
    """
    save_encoder(folder / encoder if encoder else folder)
    known = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "lasttoken")
    pooling = {f"pooling_mode_{mode}": mode in modes for mode in known}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": WIDTH, **pooling})
    modules = [("Transformer", encoder), ("Pooling", "1_Pooling")]
    width = WIDTH * len(modes)
    for number, step in enumerate(steps, 2):
        modules.append((step, f"{number}_{step}"))
        if step == "Dense":
            save_dense(folder / f"{number}_Dense", width)
            width = 8
    listed = [
        {"idx": number, "name": str(number), "path": path, "type": f"{TYPES}.{kind}"}
        for number, (kind, path) in enumerate(modules)
    ]
    write_json(folder / "modules.json", listed)
    settings = folder / encoder / "sentence_bert_config.json"
    write_json(settings, {"max_seq_length": 20, "do_lower_case": False})
    return folder


def save_dense(folder: Path, width: int) -> None:
    content = {
        "in_features": width,
        "out_features": 8,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    write_json(folder / "config.json", content)
    torch.manual_seed(1)
    weights = {"linear.weight": torch.randn(8, width), "linear.bias": torch.randn(8)}
    torch.save(weights, folder / "pytorch_model.bin")


def save_head(folder: Path, *, outputs: int, width: int = WIDTH) -> tuple[torch.Tensor, ...]:
    """Save a head as coef and intercept in float64, as scikit-learn has them; return both."""
    torch.manual_seed(2)
    coef = torch.randn(outputs, width, dtype=torch.float64)
    intercept = torch.randn(outputs, dtype=torch.float64)
    save_file({"coef": coef, "intercept": intercept}, folder / "head.safetensors")
    return coef, intercept
