"""`load`: a path or a live module -> a classifier that can be explained."""

import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from saliency_cli.api.hints import notes_of_hints
from saliency_cli.api.process_state import passes_state
from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.propagation_check import with_propagation
from saliency_cli.attribution.replicas import replica
from saliency_cli.checkpoints import LoadedCheckpoint, load_checkpoint
from saliency_cli.checkpoints.live_module import load_module
from saliency_cli.checkpoints.loader import DEFAULTS
from saliency_cli.checkpoints.precision import apply_precision
from saliency_cli.errors import UsageError
from saliency_cli.model.devices import choose_device
from saliency_cli.runs.setup import engine_for
from saliency_cli.safe_text import visible
from saliency_cli.settings import AttentionName, Compute, HeadName, ModelChoice

Loader: TypeAlias = Callable[[ModelChoice, Compute, tuple[str, ...] | None], LoadedCheckpoint]
"""Loads a classifier in float32, given its options and its labels' names."""

NO_PROPAGATION = replace(DEFAULTS, propagation=None)
"""What a path is loaded for: the propagation follows from the method, in `explain`."""

MOST_ENGINES = 8
"""Engines that are kept, one for each choice of method and options that `explain` was called with.
Each in bfloat16 has a copy of the weights."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Classifier:
    """A text classifier that `explain` can run; `load` returns it.

    One classifier may be used by several calls of `explain`, one after another or side by side.
    """

    _loaded: LoadedCheckpoint
    _compute: Compute
    _engines: dict[Maths, Engine] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels' names, in the order of the logits."""
        return self._loaded.classifier.labels

    @property
    def head(self) -> HeadName:
        """How the logits are read: single-label, multi-label or regression."""
        return self._loaded.classifier.head

    @property
    def max_length(self) -> int:
        """Tokens after which a text is cut, special tokens counted."""
        return self._loaded.classifier.max_length

    @property
    def device(self) -> torch.device:
        """Where the passes run."""
        return self._loaded.classifier.device

    @property
    def embedding_layer(self) -> str:
        """Dotted name of the layer whose output is explained."""
        return self._loaded.classifier.embedding_name

    def engine(self, maths: Maths) -> Engine:
        """Return the engine that computes some maths with this classifier; `explain` asks for it.

        Args:
            maths: What is computed.

        Raises:
            UsageError: The maths does not fit the model.
        """
        found = self._engines.get(maths)
        if found is None:
            found = engine_for(self._prepared(maths), maths, self._compute)
            if len(self._engines) >= MOST_ENGINES:
                self._engines.clear()
            self._engines[maths] = found
        return found

    def _prepared(self, maths: Maths) -> Any:  # noqa: ANN401 - the classifier of `model`
        """Return the loaded model with the propagation, format and attention of some maths."""
        classifier = with_propagation(self._loaded.classifier, maths.propagation)
        if self._compute.dtype == "float32":
            if not maths.method.needs_eager_attention:
                return classifier
            return apply_precision(replica(classifier), self._compute, maths)
        module = deepcopy(classifier.module)
        embedding = module.get_submodule(classifier.embedding_name)
        copied = replace(classifier, module=module, embedding=embedding)
        return apply_precision(copied, self._compute, maths)

    def __repr__(self) -> str:
        module = type(self._loaded.classifier.module).__name__
        labels = self.labels if len(self.labels) < 8 else f"{len(self.labels)} labels"
        return f"<Classifier {module} on {self.device}: {self.head}, {labels}>"


def load(  # noqa: PLR0913 - the options of the command line
    model: str | os.PathLike[str] | nn.Module,
    *,
    tokenizer: object = None,
    labels: Sequence[str] | Path | None = None,
    config: str | Path | None = None,
    base_model: str | Path | None = None,
    arch: str | None = None,
    unsafe_pickle: bool = False,
    multi_label: bool = False,
    hypothesis: str | None = None,
    special_tokens: Literal["text", "keep"] = "text",
    embedding_layer: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    device: str = "auto",
    dtype: Literal["float32", "bfloat16"] = "float32",
    attention: AttentionName = "auto",
    batch_tokens: int | None = None,
) -> Classifier:
    """Return the classifier of a checkpoint or of a live module, after the command line's checks.

    A live module is not changed, and can be trained further: a copy of it is run that shares its
    weights. Weights that an optimizer changes in place are explained as they are then, unless the
    module is in another format than `dtype` or on another device. Each option means what the option
    of the same name means for [`saliency explain`](command-line.md).

    Args:
        model: A folder or file, as MODEL of the command line; or an `nn.Module`.
        tokenizer: A path, or a fast tokenizer of transformers, which is copied. A module needs one;
            a path has its own beside it.
        labels: The labels' names in the order of the logits, or a `Path` of a file that has them.
        config: The config.json that describes a state dict.
        base_model: The model that an adapter was trained on.
        arch: `file.py:Name` of your own module, whose code is run.
        unsafe_pickle: Whether a pickle that may run any code is opened.
        multi_label: Whether each label has a probability of its own, whatever the config says.
        hypothesis: Of a model of natural language inference, what each label claims, with `{}` in
            the place of its name; it needs `labels`.
        special_tokens: `keep` reads the names of special tokens in a text as special tokens.
        embedding_layer: Dotted name of the layer that is explained; None for the token embedding.
        max_length: Tokens after which a text is cut; None for as many as the model takes.
        stride: Tokens by which windows of longer texts overlap; None to cut them.
        device: `cpu`, `cuda` or `cuda:0`. `auto` is where a module is; for a path, CUDA where there
            is one.
        dtype: Number format of the passes. `bfloat16` runs a copy of the weights, as they are at
            the first call of `explain`.
        attention: `eager`, `sdpa`, or `auto` for the model's own.
        batch_tokens: Tokens in a batch; None for a number that suits model and device.

    Raises:
        UsageError: A path does not exist, or an option does not fit the model.
        CheckpointError: The model or its tokenizer is refused, or they do not fit together.

    Example:
        >>> import saliency_cli
        >>> classifier = saliency_cli.load("sample_data/model.pt")
        >>> classifier.labels
        ('ham', 'spam')
    """
    with notes_of_hints():
        choice = ModelChoice(
            _model_path(model),
            tokenizer=_path(tokenizer),
            config=_path(config),
            arch=arch,
            labels=labels if isinstance(labels, Path) else None,
            base_model=_path(base_model),
            unsafe_pickle=unsafe_pickle,
            embedding_layer=embedding_layer,
            multi_label=multi_label,
            hypothesis=hypothesis,
            special_tokens=special_tokens,
        )
        compute = Compute(
            max_length=max_length,
            stride=stride,
            device=_device_name(device, model),
            dtype=dtype,
            attention=attention,
            batch_tokens=batch_tokens,
        )
        loader = _live_loader(model, tokenizer) if isinstance(model, nn.Module) else _load_path
        with passes_state(choose_device(compute.device)):
            loaded = loader(choice, replace(compute, dtype="float32"), _label_names(labels))
    return Classifier(loaded, compute)


def _path(value: object) -> Path | None:
    """Return a path, or None for what is none: no value, or a live tokenizer."""
    return Path(value) if isinstance(value, str | os.PathLike) else None


def _model_path(model: object) -> Path:
    """Return the path of a model; of a live module the name of its class, for messages."""
    if isinstance(model, nn.Module):
        return Path(type(model).__name__)
    path = _path(model)
    if path is None:
        raise UsageError(
            f"a model of type {visible(type(model).__name__)} cannot be loaded",
            "give the path of a folder or file, or an nn.Module",
        )
    return path


def _label_names(labels: Sequence[str] | Path | None) -> tuple[str, ...] | None:
    if labels is None or isinstance(labels, Path):
        return None
    names = tuple(labels)
    if isinstance(labels, str) or not all(names) or {*map(type, names)} - {str}:
        raise UsageError(
            "labels must be a list of names, none of them empty",
            "give a list in the order of the logits, or pathlib.Path(FILE)",
        )
    return names


def _device_name(device: str, model: object) -> str:
    """Return the device to ask for; for a live module "auto" is where its weights are."""
    if device != "auto" or not isinstance(model, nn.Module):
        return device
    return str(next((each.device for each in model.parameters()), "cpu"))


def _load_path(
    choice: ModelChoice, compute: Compute, names: tuple[str, ...] | None
) -> LoadedCheckpoint:
    return load_checkpoint(choice, compute, NO_PROPAGATION, names=names)


def _live_loader(module: nn.Module, tokenizer: object) -> Loader:
    """Return the function that loads a live module with its options."""

    def load_live(
        choice: ModelChoice, compute: Compute, names: tuple[str, ...] | None
    ) -> LoadedCheckpoint:
        _check_live(choice, tokenizer)
        loaded = load_module(module, tokenizer, choice, compute, names=names)
        return replace(loaded, classifier=apply_precision(loaded.classifier, compute, DEFAULTS))

    return load_live


def _check_live(choice: ModelChoice, tokenizer: object) -> None:
    """Check that the options of a live module fit it.

    Raises:
        UsageError: It has no tokenizer, or an option that says how files are read was given.
    """
    if tokenizer is None:
        raise UsageError("a module has no tokenizer", "give tokenizer=")
    for name in ("config", "arch", "base_model", "unsafe_pickle", "labels"):
        if getattr(choice, name):
            hint = "give labels=[...]" if name == "labels" else f"leave out {name}"
            raise UsageError(f"{name} is for the path of a model, not for a module", hint)
