"""The one way in: find the files, read them, see that they fit together."""

import hashlib
import inspect
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

# Set before transformers is imported: what is not on disk is an error, never a download.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch import Tensor, nn
from transformers.utils import logging

from saliency_cli.checkpoints.config import find_config, read_config, read_head, read_labels
from saliency_cli.checkpoints.directory import load_directory, weight_files
from saliency_cli.checkpoints.disguises import check_file
from saliency_cli.checkpoints.lengths import choose_length, longest
from saliency_cli.checkpoints.padding import settle_padding
from saliency_cli.checkpoints.state_dict import load_state_dict
from saliency_cli.checkpoints.tokenizers import (
    check_vocabulary,
    checked_pad,
    find_tokenizer,
    load_tokenizer,
    tokenizer_files,
)
from saliency_cli.classifier import Classifier
from saliency_cli.devices import choose_device, choose_dtype, prepare
from saliency_cli.embedding import find_layer, token_rows
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.escapes import visible
from saliency_cli.kernels import choose_products
from saliency_cli.probes import TEXT, at_layer, embeddings_block, probe
from saliency_cli.settings import Compute, ModelChoice

Loader = Callable[[Path, Any], nn.Module]
LOADERS: dict[str, Loader] = dict.fromkeys((".pt", ".pth", ".bin", ".ckpt"), load_state_dict)


def load(choice: ModelChoice, compute: Compute) -> Classifier:
    """Load a classifier and try it out.

    Raises:
        UsageError: a path is not there, or an option does not fit the model.
        CheckpointError: the files are refused, or do not fit together.
    """
    logging.set_verbosity(logging.CRITICAL)  # errors repeat, unescaped, what a file says
    logging.disable_progress_bar()
    device = choose_device(compute.device)
    prepare(device)
    loader = _loader(choice.checkpoint)
    config_file = find_config(choice)
    config = read_config(config_file)
    labels = read_labels(config_file, config)
    folder = find_tokenizer(choice)
    tokenizer = load_tokenizer(folder, config)
    module: Any = loader(choice.checkpoint, config)
    inputs = partial(_plain_inputs, tokenizer)
    name, layer = find_layer(module, choice.embedding_layer, inputs=inputs)
    rows = token_rows(module, inputs=inputs)
    check_vocabulary(tokenizer, rows=rows, folder=folder)
    classifier = Classifier(
        module=module.to(device, choose_dtype(compute)),
        tokenizer=tokenizer,
        labels=labels,
        head=read_head(config, multi_label=choice.multi_label),
        embedding_name=name,
        embedding=layer,
        max_length=choose_length(
            compute.max_length,
            most=longest(module, tokenizer, config),
            special=tokenizer.num_special_tokens_to_add(),
        ),
        pad_id=checked_pad(settle_padding(module, tokenizer), rows=rows, folder=folder),
        type_ids=_takes_type_ids(module, tokenizer),
        device=device,
        dtype=choose_dtype(compute),
        attention=str(module.config._attn_implementation),  # noqa: SLF001 - transformers has no other name
        products=choose_products(device, choose_dtype(compute)),
        padding_blind=True,
        hashes={
            "model": _hashes([config_file, *_weights(choice.checkpoint)]),
            "tokenizer": _hashes(tokenizer_files(folder)),
        },
    )
    return probe(_at_block(classifier) if choice.embeddings_block else classifier)


def _plain_inputs(tokenizer: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the inputs of a plain text, for a trace of who looks the token ids up."""
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _takes_type_ids(module: nn.Module, tokenizer: Any) -> bool:  # noqa: ANN401
    """Say whether both sides know segments: GPT-2 takes them too, but embeds them as tokens."""
    name = "token_type_ids"
    return (
        name in tokenizer.model_input_names and name in inspect.signature(module.forward).parameters
    )


def _loader(path: Path) -> Loader:
    if not path.exists():
        raise UsageError(f"{visible(str(path))}: there is no such file or folder")
    if path.is_dir():
        return load_directory
    check_file(path, what="a checkpoint")
    if path.suffix.lower() not in LOADERS:
        raise CheckpointError(
            f"{visible(str(path))}: no checkpoint is known by this suffix",
            f"give a Hugging Face folder, or a file named {' '.join(LOADERS)}",
        )
    return LOADERS[path.suffix.lower()]


def _at_block(classifier: Classifier) -> Classifier:
    block = embeddings_block(classifier)
    if block is None:
        raise UsageError(
            "--preset allennlp: this model has no embeddings block to add noise to",
            "name a layer with --embedding-layer",
        )
    return at_layer(classifier, block)


def _weights(path: Path) -> list[Path]:
    return weight_files(path) if path.is_dir() else [path]


def _hashes(files: Iterable[Path]) -> dict[str, str]:
    hashes = {}
    for path in files:
        with path.open("rb") as stream:
            hashes[visible(path.name)] = hashlib.file_digest(stream, "sha256").hexdigest()
    return hashes
