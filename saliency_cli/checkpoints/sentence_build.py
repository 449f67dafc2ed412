"""Build the module of a sentence classifier from its files."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from saliency_cli.checkpoints.config_checks import check_parameter_count
from saliency_cli.checkpoints.contents import CheckpointFiles, SentenceFiles, SentenceStep, Weights
from saliency_cli.checkpoints.json_files import read_object
from saliency_cli.checkpoints.labels import set_label_names
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.checkpoints.safetensors_file import read_safetensors
from saliency_cli.checkpoints.sentence_folder import (
    DENSE,
    NORMALIZE,
    SETFIT_FILE,
    STEP_CONFIG,
    STEP_WEIGHTS,
)
from saliency_cli.checkpoints.sentence_head import LinearHead, read_sentence_head
from saliency_cli.checkpoints.torch_file import read_tensors
from saliency_cli.checkpoints.weights import freeze, load_into, load_pretrained
from saliency_cli.errors import CheckpointError
from saliency_cli.model.sentence_classifier import (
    POOLING_MODES,
    BinaryHead,
    Normalize,
    Pooling,
    SentenceClassifier,
)
from saliency_cli.model.transformers_import import MODEL_MAPPING, PreTrainedModel
from saliency_cli.safe_text import excerpt, listed, visible

ACTIVATIONS: dict[str, type[nn.Module]] = {
    each.__name__: each for each in (nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid, nn.SiLU)
}
"""The last names of the activations that a dense layer's config may name."""


def build_sentence_classifier(
    saved: CheckpointFiles,
    sentence: SentenceFiles,
    weights: Weights,
    config: Any,  # noqa: ANN401
    *,
    names: tuple[str, ...] | None,
    multi_label: bool,
) -> nn.Module:
    """Return the module of a sentence-transformers folder with a head.

    Args:
        saved: The checkpoint's files.
        sentence: Its parts beside the encoder.
        weights: The encoder's weights.
        config: The encoder's config; names of labels and kind of head are written into it.
        names: The names of `--labels`; None takes those of SetFit's settings or of the head.
        multi_label: The user gave `--multi-label`.

    Raises:
        CheckpointError: A part cannot be read or does not fit.
        UsageError: There are more or fewer names than labels.
    """
    encoder = _build_encoder(saved, weights, config)
    pooling, *others = sentence.steps
    modes = _pooling_modes(pooling.folder / STEP_CONFIG)
    setfit = _read_settings(sentence.folder / SETFIT_FILE)
    chain = _Chain(len(modes) * _width(encoder), [*_layers(others)])
    if setfit.get("normalize_embeddings"):
        chain.layers.append(Normalize())
    head = read_sentence_head(sentence.head)
    chain.check(head, path=sentence.head)
    is_multi_label = multi_label or head.multi_label
    binary = len(head.weight) == 1 and not is_multi_label
    if is_multi_label:
        config.problem_type = "multi_label_classification"
    outputs = 2 if binary else len(head.weight)
    own = _label_names(setfit) or head.names
    if names is None and own and len(own) != outputs:
        raise CheckpointError(
            f"{visible(str(sentence.folder))} names {len(own)} labels, but its head has {outputs}",
            "name the labels in a file with --labels",
        )
    set_label_names(config, names or own or None, outputs=outputs)
    last = BinaryHead(head.linear()) if binary else head.linear()
    return freeze(SentenceClassifier(encoder, Pooling(modes), chain.layers, last))


@dataclass(frozen=True, slots=True)
class _Chain:
    """The layers between pooling and head.

    Attributes:
        width: Dimensions of the pooled vector.
        layers: The layers.
    """

    width: int
    layers: list[nn.Module]

    def check(self, head: LinearHead, *, path: Path) -> None:
        """Raise `CheckpointError` unless the head fits what comes before it."""
        width = self.width
        for layer in self.layers:
            for linear in (each for each in layer.modules() if isinstance(each, nn.Linear)):
                _check_width(width, linear.in_features, what="a dense layer", path=path.parent)
                width = linear.out_features
        _check_width(width, head.weight.shape[1], what="the head", path=path)


def _check_width(given: int, taken: int, *, what: str, path: Path) -> None:
    if given != taken:
        raise CheckpointError(
            f"{visible(str(path))}: {what} takes {taken} dimensions, and gets {given}"
        )


def _build_encoder(saved: CheckpointFiles, weights: Weights, config: Any) -> nn.Module:  # noqa: ANN401
    """Return the encoder, without the pooling layer that transformers puts behind it."""
    name = str(saved.path)
    model = _encoder_class(config, name=name)
    check_parameter_count(model, config, name=name, files=saved.files)
    options: dict[str, Any] = {}
    if "add_pooling_layer" in inspect.signature(model.__init__).parameters:
        options["add_pooling_layer"] = False
        weights = {key: value for key, value in weights.items() if "pooler" not in key.split(".")}
    with translate_errors(saved.path, "the state dict"):
        return load_pretrained(model, config, weights, name=name, options=options)


def _encoder_class(config: Any, *, name: str) -> type[PreTrainedModel]:  # noqa: ANN401
    found = MODEL_MAPPING.get(type(config), None)
    if not isinstance(found, type):
        kind = excerpt(str(config.model_type))
        raise CheckpointError(f"{visible(name)}: transformers has no encoder of type {kind}")
    return found


def _width(encoder: nn.Module) -> int:
    return int(encoder.config.hidden_size)  # type: ignore[union-attr, arg-type]


def _read_settings(path: Path) -> dict[str, Any]:
    return read_object(path, what="SetFit's settings") if path.is_file() else {}


def _label_names(settings: dict[str, Any]) -> tuple[str, ...]:
    labels = settings.get("labels")
    return tuple(map(str, labels)) if isinstance(labels, list) else ()


def _pooling_modes(path: Path) -> list[str]:
    """Return the modes of a pooling's config: those that are switched on, or the one it names."""
    content = read_object(path, what="the pooling's config")
    prefix = "pooling_mode_"
    modes = {
        key.removeprefix(prefix).removesuffix("_tokens").removesuffix("_token")
        for key, value in content.items()
        if key.startswith(prefix) and value is True
    }
    named = content.get("pooling_mode")
    if named is not None:
        modes |= set(named) if isinstance(named, list) else {str(named)}
    unknown = modes.difference(POOLING_MODES)
    if unknown or not modes:
        raise CheckpointError(
            f"{visible(str(path))}: pooling by {listed(sorted(map(str, unknown))) or 'nothing'} "
            f"is not supported, only by {listed(POOLING_MODES)}"
        )
    return [mode for mode in POOLING_MODES if mode in modes]


def _layers(steps: list[SentenceStep]) -> Iterator[nn.Module]:
    """Yield the layers behind the pooling."""
    for step in steps:
        if step.kind == DENSE:
            yield _dense(step.folder)
        elif step.kind == NORMALIZE:
            yield Normalize()


def _dense(folder: Path) -> nn.Module:
    path = folder / STEP_CONFIG
    content = read_object(path, what="the config of a dense layer")
    activation = str(content.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"{visible(str(path))}: the activation {excerpt(activation)} is not supported, only "
            f"{listed([*ACTIVATIONS])}"
        )
    file = next((folder / name for name in STEP_WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        raise CheckpointError(f"{visible(str(folder))} holds no weights ({listed(STEP_WEIGHTS)})")
    weights = read_safetensors(file) if file.suffix == ".safetensors" else read_tensors(file)
    weights = {key.removeprefix("linear."): value.float() for key, value in weights.items()}
    rows = weights.get("weight", torch.empty(0))
    if rows.dim() != 2:
        raise CheckpointError(f"{visible(str(file))} holds no weight of a dense layer")
    linear = nn.Linear(rows.shape[1], rows.shape[0], bias="bias" in weights)
    return nn.Sequential(load_into(linear, weights, name=str(file)), ACTIVATIONS[activation]())
