"""Build the module of a checkpoint, with its weights and the config that describes it."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from saliency_cli.checkpoints.config import missing_config_error
from saliency_cli.checkpoints.config_checks import check_parameter_count
from saliency_cli.checkpoints.contents import CheckpointFiles, Content, Weights
from saliency_cli.checkpoints.labels import set_label_names
from saliency_cli.checkpoints.peft_adapter import (
    adapter_tensor_shapes,
    count_head_outputs,
    merge_adapter,
    read_adapter_config,
)
from saliency_cli.checkpoints.read_errors import translate_errors
from saliency_cli.checkpoints.sentence_build import build_sentence_classifier
from saliency_cli.checkpoints.training_state import split_training_state
from saliency_cli.checkpoints.user_module import add_import_path, build_user_module
from saliency_cli.checkpoints.weights import (
    classifier_class,
    freeze,
    load_into,
    load_pretrained,
    state_dict_shapes,
)
from saliency_cli.model.transformers_import import PreTrainedConfig, PreTrainedModel
from saliency_cli.settings import ModelChoice


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A module with its weights.

    Attributes:
        module: The module, in eval mode and without gradients.
        config: The transformers config.
        is_custom: Whether it is a user's own module. `config` may then not describe it: the number
            of logits is known only after a first pass.
        dtypes: The dtypes of the file's tensors, not of the module's.
        added_tokens: How many tokens the module puts behind each text.
        max_length: The longest input, in tokens, if something else than the config names one.
        ignored: Keys of the file that are of a loss or a metric, and of no part of the module.
    """

    module: nn.Module
    config: Any
    is_custom: bool
    dtypes: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    added_tokens: int = 0
    max_length: int | None = None


def build_model(
    saved: CheckpointFiles,
    config: Any,  # noqa: ANN401
    choice: ModelChoice,
    *,
    names: tuple[str, ...] | None,
) -> BuiltModel:
    """Read the weights and return the module: the user's, by `--arch`, or transformers'.

    Args:
        saved: The checkpoint's files.
        config: The transformers config; None if there is none.
        choice: The user's options.
        names: The label names of `--labels`.

    Raises:
        UsageError: There is no config, or `--arch` cannot be used as given.
        CheckpointError: The weights cannot be read or do not fit.
    """
    if choice.unsafe_pickle:
        add_import_path(Path())  # where the classes of a pickled module may be defined
    content = saved.read(saved.path)
    dtypes = _dtype_names(content)
    if choice.arch is not None:
        module = build_user_module(choice.arch, config)
        with translate_errors(saved.path, "the state dict"):
            weights, ignored = split_training_state(_state_dict(content), module.state_dict)
            module = load_into(module, weights, name=str(saved.path))
        config = copy_config(module, config)
        return BuiltModel(module, config, is_custom=True, dtypes=dtypes, ignored=ignored)
    if isinstance(content, nn.Module):
        config = copy_config(content, config)
        return BuiltModel(freeze(content), config, is_custom=True, dtypes=dtypes)
    if config is None:
        raise missing_config_error(saved.path)
    if saved.sentence is not None:
        module = build_sentence_classifier(
            saved, saved.sentence, content, config, names=names, multi_label=choice.multi_label
        )
        length = saved.sentence.max_length
        return BuiltModel(module, config, is_custom=False, dtypes=dtypes, max_length=length)
    if names is not None:
        set_label_names(config, names, outputs=len(names))
    module, ignored = _build_classifier(saved, content, config, names=names)
    return BuiltModel(module, module.config, is_custom=False, dtypes=dtypes, ignored=ignored)


def _build_classifier(
    saved: CheckpointFiles,
    weights: Weights,
    config: Any,  # noqa: ANN401
    *,
    names: tuple[str, ...] | None,
) -> tuple[nn.Module, tuple[str, ...]]:
    """Return transformers' classifier for a config, and the keys of `weights` that it ignores.

    If `saved` is an adapter, it is merged.
    """
    model = classifier_class(config, name=str(saved.path))
    files = (saved.base or saved).files
    check_parameter_count(model, config, name=str(saved.path), files=files)
    if saved.base is not None:
        module = _build_adapted(saved.base, model, config, weights, path=saved.path, names=names)
        return module, ()
    with translate_errors(saved.path, "the state dict"):
        weights, ignored = split_training_state(weights, lambda: state_dict_shapes(model, config))
        return load_pretrained(model, config, weights, name=str(saved.path)), ignored


def _build_adapted(
    base: CheckpointFiles,
    model: type[PreTrainedModel],
    config: Any,  # noqa: ANN401
    weights: Weights,
    *,
    path: Path,
    names: tuple[str, ...] | None,
) -> nn.Module:
    """Return the base model with the adapter at `path` merged into it.

    The base model may lack the head, if the adapter has one.
    """
    adapter_config = read_adapter_config(path.parent, weights)
    adapter_shapes = adapter_tensor_shapes(weights)
    base_weights = _state_dict(base.read(base.path))
    with translate_errors(base.path, "the state dict"):
        expected = state_dict_shapes(model, config)
        outputs = count_head_outputs(adapter_shapes, expected, default=config.num_labels)
        set_label_names(config, names, outputs=outputs)
        module = load_pretrained(
            model, config, base_weights, name=str(base.path), optional=adapter_shapes
        )
    return merge_adapter(module, adapter_config, weights, path=path)


def _state_dict(content: Content) -> Weights:
    return content.state_dict() if isinstance(content, nn.Module) else content


def _dtype_names(content: Content) -> tuple[str, ...]:
    tensors = _state_dict(content).values()
    return tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors}))


def copy_config(module: nn.Module, config: Any) -> Any:  # noqa: ANN401
    """Return a copy of the config, else of the first transformers model's inside, else a new one.

    A copy, since label names are written into it.
    """
    source = config if config is not None else next(_inner_configs(module), None)
    return PreTrainedConfig() if source is None else deepcopy(source)


def attention_implementation(module: nn.Module) -> str:
    """Return the attention of the first transformers model in a module; "own" if there is none."""
    config = next(_inner_configs(module), None)
    # There is no public name for it.
    return "own" if config is None else str(config._attn_implementation)  # noqa: SLF001


def _inner_configs(module: nn.Module) -> Iterator[PreTrainedConfig]:
    configs = (getattr(each, "config", None) for each in module.modules())
    return (config for config in configs if isinstance(config, PreTrainedConfig))
