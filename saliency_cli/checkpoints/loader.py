"""The one way in: find the files, read them, see that they fit together."""

import hashlib
import inspect
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

# Set before transformers is imported: what is not on disk is an error, never a download.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from torch import Tensor, nn
from transformers.utils import logging

from saliency_cli.attribution.model_checks import (
    TEXT,
    check_forward,
    count_logits,
    embeddings_block,
    has_deterministic_kernels,
    with_layer,
)
from saliency_cli.checkpoints.build import BuiltModel, attention, make
from saliency_cli.checkpoints.config import find_config, read_config, read_head, read_labels
from saliency_cli.checkpoints.contents import Saved
from saliency_cli.checkpoints.detect import recognise
from saliency_cli.checkpoints.labels import name_labels, read_label_file
from saliency_cli.checkpoints.lengths import choose_length, longest
from saliency_cli.checkpoints.precision import settle
from saliency_cli.checkpoints.tokenizers import (
    check_vocabulary,
    checked_pad,
    find_tokenizer,
    load_tokenizer,
    settle_padding,
    tokenizer_files,
)
from saliency_cli.checkpoints.user_module import source_files
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import allow_any_kernel, choose_device, prepare
from saliency_cli.model.embedding_hook import find_layer, token_rows
from saliency_cli.model.matmul import choose_matmul_backend
from saliency_cli.safe_text import visible
from saliency_cli.settings import Compute, ModelChoice


@dataclass(frozen=True, slots=True)
class Loaded:
    """A classifier, and what its files were: how saved, and in which number formats."""

    classifier: Classifier
    format: str
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """Where the parts of a classifier are; a module of one's own may have no config."""

    saved: Saved
    config: Path | None
    tokenizer: Path


def load(choice: ModelChoice, compute: Compute) -> Classifier:
    """Load a classifier and try it out.

    Raises:
        UsageError: a path is not there, or an option does not fit the model.
        CheckpointError: the files are refused, or do not fit together.
    """
    return load_checkpoint(choice, compute).classifier


def load_checkpoint(choice: ModelChoice, compute: Compute) -> Loaded:
    """Load a classifier as `load` does, and tell what its files were."""
    logging.set_verbosity(logging.CRITICAL)  # errors repeat, unescaped, what a file says
    logging.disable_progress_bar()
    prepare(choose_device(compute.device))
    found = _find(choice)
    config = None if found.config is None else read_config(found.config)
    names = None if choice.labels is None else read_label_file(choice.labels)
    if found.config is not None and names is None and choice.arch is None:
        read_labels(found.config, config)  # what is wrong with them, the weights would say worse
    tokenizer = load_tokenizer(found.tokenizer, config)
    made = make(found.saved, config, choice, names=names)
    pad = _fitting_pad(made.module, tokenizer, folder=found.tokenizer)
    classifier = _assembled(made, tokenizer, choice, compute, pad=pad)
    classifier = _on_kernels(replace(classifier, hashes=_all_hashes(found, choice)))
    if made.own:
        name_labels(made.config, names, outputs=count_logits(classifier))
    path = found.config or choice.checkpoint
    classifier = _meant(classifier, made.config, path=path, multi_label=choice.multi_label)
    classifier = check_forward(_at_block(classifier) if choice.embeddings_block else classifier)
    return Loaded(settle(classifier, compute), found.saved.format, made.dtypes)


def _find(choice: ModelChoice) -> _Found:
    saved = recognise(choice)
    config = find_config(choice, saved.folders)
    return _Found(saved, config, find_tokenizer(choice, saved.folders))


def _all_hashes(found: _Found, choice: ModelChoice) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of all that decides what is computed: code and labels, too."""
    beside = (found.config, choice.labels, *source_files(choice.arch))
    files = [*found.saved.files, *(path for path in beside if path is not None)]
    return {"model": _hashes(files), "tokenizer": _hashes(tokenizer_files(found.tokenizer))}


def _meant(
    classifier: Classifier,
    config: Any,  # noqa: ANN401
    *,
    path: Path,
    multi_label: bool,
) -> Classifier:
    """Return the classifier with what its logits mean: their labels and their head."""
    head = read_head(config, multi_label=multi_label)
    return replace(classifier, labels=read_labels(path, config), head=head)


def _assembled(
    made: BuiltModel,
    tokenizer: Any,  # noqa: ANN401
    choice: ModelChoice,
    compute: Compute,
    *,
    pad: int,
) -> Classifier:
    """Return the classifier in float32, all but what its logits mean and what its files were."""
    device = choose_device(compute.device)
    plain = partial(_plain_inputs, made.module, tokenizer)
    name, layer = find_layer(made.module, choice.embedding_layer, inputs=plain)
    return Classifier(
        module=made.module.to(device),
        tokenizer=tokenizer,
        labels=(),
        head="single-label",
        embedding_name=name,
        embedding=layer,
        max_length=choose_length(
            compute.max_length,
            most=longest(made.module, tokenizer, made.config),
            special=tokenizer.num_special_tokens_to_add(),
        ),
        pad_id=pad,
        inputs=_inputs(made.module, tokenizer),
        device=device,
        dtype=torch.float32,
        attention=attention(made.module),
        matmul_backend=choose_matmul_backend(device, torch.float32),
        padding_blind=True,
        hashes={},
    )


def _on_kernels(classifier: Classifier) -> Classifier:
    """Allow kernels that do not repeat themselves to a model that torch has no others for."""
    if classifier.device.type != "cuda" or has_deterministic_kernels(classifier):
        return classifier
    allow_any_kernel()
    return replace(classifier, deterministic=False)


def _fitting_pad(module: nn.Module, tokenizer: Any, *, folder: Path) -> int:  # noqa: ANN401
    """Return the id to pad with, having seen that every id has a row in the embedding."""
    rows = token_rows(module, inputs=partial(_plain_inputs, module, tokenizer))
    check_vocabulary(tokenizer, rows=rows, folder=folder)
    return checked_pad(settle_padding(module, tokenizer), rows=rows, folder=folder)


def _plain_inputs(module: nn.Module, tokenizer: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return the inputs of a plain text, for a trace of who looks the token ids up."""
    ids = torch.tensor([tokenizer(TEXT)["input_ids"]])
    known = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    taken = _inputs(module, tokenizer)
    return {name: tensor for name, tensor in known.items() if name in taken}


def _inputs(module: nn.Module, tokenizer: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of the tensors that `forward` takes.

    Segments go only where the tokenizer knows them too: GPT-2 embeds them as if they were tokens.
    """
    taken = inspect.signature(module.forward).parameters
    if "input_ids" not in taken and any(each.kind == each.VAR_KEYWORD for each in taken.values()):
        return ("input_ids", "attention_mask")
    if "input_ids" not in taken:
        raise CheckpointError(
            f"forward of {visible(type(module).__name__)} takes no input_ids",
            "name its arguments input_ids and, where it knows of padding, attention_mask",
        )
    segments = "token_type_ids" in tokenizer.model_input_names
    known = ("input_ids", "attention_mask", *(["token_type_ids"] if segments else []))
    return tuple(name for name in known if name in taken)


def _at_block(classifier: Classifier) -> Classifier:
    block = embeddings_block(classifier)
    if block is None:
        raise UsageError(
            "--preset allennlp: this model has no embeddings block to add noise to",
            "name a layer with --embedding-layer",
        )
    return with_layer(classifier, block)


def _hashes(files: Iterable[Path]) -> dict[str, str]:
    hashes = {}
    for path in files:
        with path.open("rb") as stream:
            hashes[visible(path.name)] = hashlib.file_digest(stream, "sha256").hexdigest()
    return hashes
