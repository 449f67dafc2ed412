"""Load a classifier: find its files, read them, and check that they fit together."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.model_checks import (
    check_forward,
    count_logits,
    embeddings_block,
    has_deterministic_kernels,
    is_rounding,
    with_layer,
)
from saliency_cli.attribution.propagation_check import with_propagation
from saliency_cli.checkpoints.build import BuiltModel, attention_implementation, build_model
from saliency_cli.checkpoints.config import find_config, read_config, read_head, read_labels
from saliency_cli.checkpoints.contents import CheckpointFiles
from saliency_cli.checkpoints.detect import detect_checkpoint
from saliency_cli.checkpoints.forward_inputs import forward_inputs, sample_inputs
from saliency_cli.checkpoints.hashes import ReadFile, hash_files, identities
from saliency_cli.checkpoints.labels import read_label_file, set_label_names
from saliency_cli.checkpoints.lengths import choose_max_length, max_input_length
from saliency_cli.checkpoints.precision import apply_precision
from saliency_cli.checkpoints.tokenizer_files import read_files
from saliency_cli.checkpoints.tokenizers import (
    check_pad_id,
    check_vocabulary,
    choose_pad_id,
    find_tokenizer,
    load_tokenizer,
)
from saliency_cli.checkpoints.user_code import CodeWatch
from saliency_cli.checkpoints.zero_shot import check_hypotheses, check_template, with_hypotheses
from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import allow_nondeterministic_kernels, choose_device, prepare_device
from saliency_cli.model.embedding_layer import embedding_vocabulary_size, find_embedding_layer
from saliency_cli.model.matmul import choose_matmul_backend
from saliency_cli.model.transformers_import import logging
from saliency_cli.safe_text import listed
from saliency_cli.settings import Compute, ModelChoice

DEFAULTS = Maths()
"""What is computed unless options say otherwise."""


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A classifier and facts about its files.

    Attributes:
        classifier: The classifier, ready to run.
        format: The name of the format that it was saved in.
        dtypes: The dtypes of the tensors in its files.
    """

    classifier: Classifier
    format: str
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Paths:
    """Where the parts of a classifier are; a user's own module may have no config."""

    saved: CheckpointFiles
    config: Path | None
    tokenizer: Path


@dataclass(frozen=True, slots=True)
class Named:
    """What messages call the parts of a classifier: paths, or names in their place."""

    model: Path
    tokenizer: Path


def load(choice: ModelChoice, compute: Compute, maths: Maths = DEFAULTS) -> Classifier:
    """Return the classifier of a checkpoint, ready to run.

    Args:
        choice: Which files to load, and how.
        compute: Device, number format, attention and lengths.
        maths: What will be computed: it decides the propagation and the error of the format.

    Raises:
        UsageError: A path does not exist, or an option does not fit the model.
        CheckpointError: The files are refused, or do not fit together.
    """
    return load_checkpoint(choice, compute, maths).classifier


def load_checkpoint(
    choice: ModelChoice,
    compute: Compute,
    maths: Maths = DEFAULTS,
    *,
    names: tuple[str, ...] | None = None,
) -> LoadedCheckpoint:
    """Return the classifier of a checkpoint, and facts about its files.

    Args:
        choice: Which files to load, and how.
        compute: Device, number format, attention and lengths.
        maths: What will be computed: it decides the propagation and the error of the format.
        names: The labels' names, where no file of `choice` has them.

    Raises:
        UsageError: A path does not exist, or an option does not fit the model.
        CheckpointError: The files are refused, or do not fit together.
    """
    logging.set_verbosity(logging.CRITICAL)  # errors would print a file's content unescaped
    logging.disable_progress_bar()
    prepare_device(choose_device(compute.device))
    paths, code = _find_paths(choice), CodeWatch(choice)
    model_files = _model_files(paths, choice)
    before = identities([*model_files, *_tokenizer_files(paths.tokenizer)])
    config = None if paths.config is None else read_config(paths.config)
    names = names if choice.labels is None else read_label_file(choice.labels)
    if paths.config is not None and names is None and choice.arch is None:
        # Wrong labels would also fail when the weights are loaded, with a less precise message.
        read_labels(paths.config, config)
    keep_special = choice.special_tokens == "keep"
    tokenizer = load_tokenizer(paths.tokenizer, config, keep_special=keep_special)
    check_template(choice, names)
    own_names = names if choice.hypothesis is None else None
    built = build_model(paths.saved, config, choice, names=own_names)
    named = paths.config or choice.checkpoint
    classifier = assemble_classifier(
        built, tokenizer, choice, compute, names=names, where=Named(named, paths.tokenizer)
    )
    classifier = with_propagation(classifier, maths.propagation)
    classifier = apply_precision(classifier, compute, maths)
    # Last, since a module may import more of its code in its first passes.
    files = {
        "model": [*model_files, *code.hashed_files(built.module)],
        "tokenizer": _tokenizer_files(paths.tokenizer, tokenizer),
    }
    hashes = {kind: hash_files(each, before=before) for kind, each in files.items()}
    classifier = replace(classifier, hashes=hashes, check_code=partial(code.check, built.module))
    return LoadedCheckpoint(classifier, paths.saved.format, built.dtypes)


def assemble_classifier(
    built: BuiltModel,
    tokenizer: Any,  # noqa: ANN401
    choice: ModelChoice,
    compute: Compute,
    *,
    names: tuple[str, ...] | None,
    where: Named,
) -> Classifier:
    """Return the classifier of a module and a tokenizer, in float32, checked by test runs.

    Args:
        built: The module and its config.
        tokenizer: What `prepare_tokenizer` returned.
        choice: The options of the model.
        compute: Device and lengths.
        names: The labels' names; None takes those of the config.
        where: What messages call model and tokenizer.

    Raises:
        UsageError: An option does not fit the model.
        CheckpointError: Module and tokenizer do not fit together, or it is no classifier.
    """
    pad_id = _checked_pad_id(built.module, tokenizer, folder=where.tokenizer)
    if choice.hypothesis is not None and names is not None:
        inputs = forward_inputs(built.module, tokenizer)
        built = with_hypotheses(built, tokenizer, choice, names, pad_id=pad_id, inputs=inputs)
    classifier = _assemble(built, tokenizer, choice, compute, pad_id=pad_id)
    classifier = _allow_nondeterministic_kernels(classifier)
    if built.is_custom:
        set_label_names(built.config, names, outputs=count_logits(classifier))
    head = read_head(built.config, multi_label=choice.multi_label)
    labels = read_labels(where.model, built.config)
    classifier = replace(classifier, labels=labels, head=head)
    classifier = check_forward(
        _at_embeddings_block(classifier) if choice.embeddings_block else classifier
    )
    check_hypotheses(classifier)
    return classifier


def _find_paths(choice: ModelChoice) -> _Paths:
    saved = detect_checkpoint(choice)
    config = find_config(choice, saved.folders)
    return _Paths(saved, config, find_tokenizer(choice, saved.folders))


def _model_files(paths: _Paths, choice: ModelChoice) -> list[ReadFile]:
    """Return the files that decide what is computed, without the user's code."""
    saved = paths.saved
    base = () if saved.base is None else saved.base.files
    files = [ReadFile.alone(path, "base" if path in base else "model") for path in saved.files]
    if saved.sentence is not None:
        folder = saved.sentence.folder
        names = [path.relative_to(folder).as_posix() for path in saved.files]
        files = [ReadFile(*each, "model") for each in zip(saved.files, names, strict=True)]
    others = {"config": paths.config, "labels": choice.labels}
    return [*files, *(ReadFile.alone(path, role) for role, path in others.items() if path)]


def _tokenizer_files(folder: Path, tokenizer: Any = None) -> list[ReadFile]:  # noqa: ANN401
    files = read_files(folder, tokenizer)
    return [ReadFile(path, path.relative_to(folder).as_posix(), "tokenizer") for path in files]


def _checked_pad_id(module: nn.Module, tokenizer: Any, *, folder: Path) -> int:  # noqa: ANN401
    """Return the id to pad with, after a check that every id has an embedding row."""
    rows = embedding_vocabulary_size(module, inputs=partial(sample_inputs, module, tokenizer))
    check_vocabulary(tokenizer, rows=rows, folder=folder)
    pad_id = choose_pad_id(module, tokenizer)
    check_pad_id(pad_id, rows=rows, folder=folder)
    return pad_id


def _assemble(
    built: BuiltModel,
    tokenizer: Any,  # noqa: ANN401
    choice: ModelChoice,
    compute: Compute,
    *,
    pad_id: int,
) -> Classifier:
    """Return the classifier in float32; labels, head and hashes are still placeholders."""
    device = choose_device(compute.device)
    inputs = partial(sample_inputs, built.module, tokenizer)
    name, layer = find_embedding_layer(built.module, choice.embedding_layer, inputs=inputs)
    return Classifier(
        module=built.module.to(device),
        tokenizer=tokenizer,
        labels=(),
        head="single-label",
        embedding_name=name,
        embedding=layer,
        max_length=choose_max_length(
            compute.max_length,
            limit=_length_limit(built, tokenizer),
            special_tokens=tokenizer.num_special_tokens_to_add(),
        ),
        pad_id=pad_id,
        inputs=forward_inputs(built.module, tokenizer),
        device=device,
        dtype=torch.float32,
        attention=attention_implementation(built.module),
        matmul_backend=choose_matmul_backend(device, torch.float32),
        padding_blind=True,
        hashes={},
        remarks=_remarks(built),
    )


def _length_limit(built: BuiltModel, tokenizer: Any) -> int:  # noqa: ANN401
    """Return the longest text that the model accepts, in tokens, special tokens included."""
    limit = max_input_length(built.module, tokenizer, built.config)
    limit = limit if built.max_length is None else min(limit, built.max_length)
    return limit - built.added_tokens


def _remarks(built: BuiltModel) -> tuple[str, ...]:
    if not built.ignored:
        return ()
    names = listed(built.ignored)
    return (f"tensors of a loss or a metric, and of no part of the model, are ignored: {names}",)


def _allow_nondeterministic_kernels(classifier: Classifier) -> Classifier:
    """Return the classifier; allow nondeterministic CUDA kernels if torch has no others for it."""
    if classifier.device.type != "cuda" or has_deterministic_kernels(classifier):
        return classifier
    allow_nondeterministic_kernels()
    return replace(classifier, deterministic=False)


def _at_embeddings_block(classifier: Classifier) -> Classifier:
    block = embeddings_block(classifier)
    if block is None:
        # GPT-2 normalises the sum of its embeddings only later, so that `sum` is rounding anywhere.
        vanishes = is_rounding(classifier, reduction="sum", objective="loss")
        raise UsageError(
            "--preset allennlp: this model has no embeddings block to add noise to",
            "choose --preset allennlp-gradient"
            if vanishes
            else f"add --embedding-layer {classifier.embedding_name}",
        )
    return with_layer(classifier, block)
