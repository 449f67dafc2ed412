"""How a module is made of what was saved, and the config that describes what came out."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from saliency_cli.checkpoints.config import missing_config
from saliency_cli.checkpoints.config_checks import check_parameters
from saliency_cli.checkpoints.contents import Content, Saved, Weights
from saliency_cli.checkpoints.labels import name_labels
from saliency_cli.checkpoints.peft_adapter import brought, merge, outputs_of, read_adapter_config
from saliency_cli.checkpoints.read_errors import refusing
from saliency_cli.checkpoints.user_module import build_own, importable_from
from saliency_cli.checkpoints.weights import architecture, build, fill, frozen, shapes
from saliency_cli.settings import ModelChoice


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A module with its weights; `config` describes it, `own` says that nothing vouches for that.

    A config need not tell how many logits a module of one's own gives: its first pass does.
    `dtypes` are those of the file, not of the module.
    """

    module: nn.Module
    config: Any
    own: bool
    dtypes: tuple[str, ...]


def make(
    saved: Saved,
    config: Any,  # noqa: ANN401
    choice: ModelChoice,
    *,
    names: tuple[str, ...] | None,
) -> BuiltModel:
    """Make the module: transformers' by its config, or the user's by `--arch`.

    Raises:
        UsageError: there is no config, or `--arch` cannot be used as given.
        CheckpointError: the weights cannot be read or do not fit.
    """
    if choice.unsafe_pickle:
        importable_from(Path())
    content = saved.read(saved.path)
    dtypes = _dtypes(content)
    if choice.arch is not None:
        module = build_own(choice.arch, config)
        with refusing(saved.path, "the state dict"):
            module = fill(module, _tensors(content), name=str(saved.path))
        return BuiltModel(module, _described(module, config), own=True, dtypes=dtypes)
    if isinstance(content, nn.Module):
        return BuiltModel(frozen(content), _described(content, config), own=True, dtypes=dtypes)
    if config is None:
        raise missing_config(saved.path)
    if names is not None:
        name_labels(config, names, outputs=len(names))
    module = _transformers(saved, content, config, names=names)
    return BuiltModel(module, module.config, own=False, dtypes=dtypes)


def _transformers(
    saved: Saved,
    weights: Weights,
    config: Any,  # noqa: ANN401
    *,
    names: tuple[str, ...] | None,
) -> nn.Module:
    """Build transformers' classifier, of an adapter's base model where there is one."""
    model = architecture(config, name=str(saved.path))
    files = (saved.base or saved).files
    check_parameters(model, config, name=str(saved.path), files=files)
    if saved.base is not None:
        return _adapted(saved.base, model, config, weights, path=saved.path, names=names)
    with refusing(saved.path, "the state dict"):
        return build(model, config, weights, name=str(saved.path))


def _adapted(
    base: Saved,
    model: type[PreTrainedModel],
    config: Any,  # noqa: ANN401
    weights: Weights,
    *,
    path: Path,
    names: tuple[str, ...] | None,
) -> nn.Module:
    """Build the base model but for the head that the adapter brings, and merge the two."""
    adapter = read_adapter_config(path.parent)
    head = brought(weights)
    below = _tensors(base.read(base.path))
    with refusing(base.path, "the state dict"):
        wanted = shapes(model, config)
        outputs = outputs_of(head, wanted, default=config.num_labels)
        name_labels(config, names, outputs=outputs)
        module = build(model, config, below, name=str(base.path), elsewhere=head)
    return merge(module, adapter, weights, path=path)


def _tensors(content: Content) -> Weights:
    return content.state_dict() if isinstance(content, nn.Module) else content


def _dtypes(content: Content) -> tuple[str, ...]:
    tensors = _tensors(content).values()
    return tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors}))


def _described(module: nn.Module, config: Any) -> Any:  # noqa: ANN401
    """Return the config given, else that of the first transformers model inside, else a bare one.

    It is a copy, since the labels are written into it.
    """
    found = config if config is not None else next(_configs(module), None)
    return PreTrainedConfig() if found is None else deepcopy(found)


def attention(module: nn.Module) -> str:
    """Return the name of the attention that the first transformers model in a module computes."""
    found = next(_configs(module), None)
    return "own" if found is None else str(found._attn_implementation)  # noqa: SLF001 - no other name


def _configs(module: nn.Module) -> Iterator[PreTrainedConfig]:
    inside = (getattr(each, "config", None) for each in module.modules())
    return (config for config in inside if isinstance(config, PreTrainedConfig))
