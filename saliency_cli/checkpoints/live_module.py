"""The classifier of a module and a tokenizer that are in memory already; neither is changed."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from torch import nn

from saliency_cli.checkpoints.build import BuiltModel, copy_config
from saliency_cli.checkpoints.loader import LoadedCheckpoint, Named, assemble_classifier
from saliency_cli.checkpoints.tensors import check_finite
from saliency_cli.checkpoints.tokenizers import find_tokenizer, load_tokenizer, prepare_tokenizer
from saliency_cli.checkpoints.weights import freeze
from saliency_cli.checkpoints.zero_shot import check_template
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.devices import choose_device, prepare_device
from saliency_cli.safe_text import error_text, visible
from saliency_cli.settings import Compute, ModelChoice


def load_module(
    module: nn.Module,
    tokenizer: Any,  # noqa: ANN401 - transformers' own classes
    choice: ModelChoice,
    compute: Compute,
    *,
    names: tuple[str, ...] | None = None,
) -> LoadedCheckpoint:
    """Return the classifier of a live module, after the checks of a loaded one.

    It runs a copy of the module with the same memory for the weights: mode, hooks, gradients and
    config of the module itself stay as they are, and weights that are trained on in place are
    those that are explained. A module in another format than float32, or on another device, gets
    weights of its own.

    Args:
        module: The module; it may be in training mode.
        tokenizer: Its tokenizer, which is copied.
        choice: The options of the model; paths other than the tokenizer's are not used.
        compute: Device and lengths.
        names: The labels' names; None takes those of the module's config.

    Raises:
        UsageError: An option does not fit the model.
        CheckpointError: Module or tokenizer is refused, or they do not fit together.
    """
    check_template(choice, names)
    prepare_device(choose_device(compute.device))
    copied = freeze(_copy_sharing_weights(module)).float()
    check_finite(copied.named_parameters(), name=type(module).__name__)
    built = BuiltModel(copied, copy_config(copied, None), is_custom=True, dtypes=())
    where = Named(choice.checkpoint, choice.tokenizer or Path(type(tokenizer).__name__))
    keep_special = choice.special_tokens == "keep"
    if choice.tokenizer is None:
        prepared = _copy_tokenizer(tokenizer, where.tokenizer, keep_special=keep_special)
    else:
        config = getattr(copied, "config", None)
        folder = find_tokenizer(choice, ())
        prepared = load_tokenizer(folder, config, keep_special=keep_special)
    classifier = assemble_classifier(built, prepared, choice, compute, names=names, where=where)
    return LoadedCheckpoint(classifier, "a module in memory", ())


def _copy_sharing_weights(module: nn.Module) -> nn.Module:
    """Return a copy of a module that shares the memory of its weights, without gradients."""
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    shared: dict[int, Any] = {
        id(each): nn.Parameter(each.detach(), requires_grad=False) for each in module.parameters()
    }
    shared |= {id(each): each.detach() for each in module.buffers()}
    try:
        return deepcopy(module, shared)
    except Exception as error:
        raise CheckpointError(
            f"{visible(type(module).__name__)} cannot be copied: {error_text(error)}",
            "give a module that copy.deepcopy can copy",
        ) from error


def _copy_tokenizer(tokenizer: Any, name: Path, *, keep_special: bool) -> Any:  # noqa: ANN401
    if not hasattr(tokenizer, "is_fast"):
        raise UsageError(
            f"{visible(str(name))} is no tokenizer of transformers",
            "give a fast tokenizer of transformers, or the path of its folder",
        )
    return prepare_tokenizer(deepcopy(tokenizer), name, keep_special=keep_special)
