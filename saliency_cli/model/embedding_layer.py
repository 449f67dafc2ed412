"""The search for the layer that embeds the tokens: by name, as the model declares it, or traced."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import cast

import torch
from torch import Tensor, nn

from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.model.embedding_hook import LayerArgs, LayerKwargs, embedding_layers, token_ids
from saliency_cli.safe_text import error_text, listed, visible


def find_embedding_layer(
    module: nn.Module, name: str | None, *, inputs: Callable[[], LayerKwargs] | None = None
) -> tuple[str, nn.Module]:
    """Return the name of the layer that embeds the tokens, and the layer.

    Args:
        module: The model.
        name: The layer's name if the user gave one; else the layer that `get_input_embeddings`
            returns is used or, if the model has no such method, the one that a run shows.
        inputs: Returns the keyword arguments for a run; None if the model must not be run.

    Raises:
        UsageError: There is no layer of that name.
        CheckpointError: Neither the model nor a run shows which layer embeds the tokens.
    """
    if name is not None:
        return name, _layer_called(name, dict(module.named_modules()))
    declared = _declared_layer(module)
    for known_name, layer in module.named_modules():
        if layer is declared and layer is not module:
            return known_name, declared
    if inputs is None:
        raise _unknown_layer_error([], "")
    return trace_embedding_layer(module, inputs())


def embedding_vocabulary_size(
    module: nn.Module, *, inputs: Callable[[], LayerKwargs]
) -> int | None:
    """Return the number of ids that the token embedding has a vector for, or None if unknown.

    Args:
        module: The model.
        inputs: Returns the keyword arguments for a run, if one is needed to find the layer.
    """
    try:
        _, layer = find_embedding_layer(module, None, inputs=inputs)
    except CheckpointError:
        return None
    return layer.num_embeddings if isinstance(layer, nn.Embedding) else None


def _declared_layer(module: nn.Module) -> nn.Module | None:
    """Return the layer that the model declares as its token embedding, or None.

    A user's module often has no such method; for some models transformers' method raises
    NotImplementedError.
    """
    try:
        return cast("nn.Module", module.get_input_embeddings())  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        return None


def trace_embedding_layer(module: nn.Module, inputs: LayerKwargs) -> tuple[str, nn.Module]:
    """Run a model, and return the name of the embedding that got its `input_ids`, and the layer.

    The ids may arrive with the tokens first. They are compared before the layer runs, so an id
    outside the embedding, at which the run stops, does not hide the layer.

    Args:
        module: The model.
        inputs: The keyword arguments of its `forward`.

    Raises:
        CheckpointError: No embedding got the ids, or several that share no weight did.
    """
    input_ids: Tensor = inputs["input_ids"]
    matches: dict[str, nn.Embedding] = {}
    with ExitStack() as handles:
        for name, layer in embedding_layers(module).items():

            def compare_ids(
                layer: nn.Module, args: LayerArgs, kwargs: LayerKwargs, name: str = name
            ) -> None:
                ids = token_ids(args, kwargs)
                if ids is not None and (
                    torch.equal(ids, input_ids) or torch.equal(ids.T, input_ids)
                ):
                    matches[name] = cast("nn.Embedding", layer)

            handles.callback(layer.register_forward_pre_hook(compare_ids, with_kwargs=True).remove)
        reason = _run_failure(module, inputs)
    # Layers that share a weight count once, under the name of the first one.
    names = {id(layer.weight): name for name, layer in reversed(matches.items())}
    if len(names) == 1:
        (name,) = names.values()
        return name, matches[name]
    raise _unknown_layer_error(list(names.values())[::-1] or list(embedding_layers(module)), reason)


def _run_failure(module: nn.Module, inputs: LayerKwargs) -> str:
    """Run a model for the sake of its hooks; return what it raised as ": …", or no text."""
    try:
        with torch.no_grad():
            module(**inputs)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
        return f": {error_text(error)}"
    return ""


def _unknown_layer_error(names: list[str], reason: str) -> CheckpointError:
    hint = f"add --embedding-layer with one of {listed(names)}" if names else None
    return CheckpointError(
        f"the model does not show which layer embeds its tokens{reason}",
        hint or "add --embedding-layer with the name of that layer",
    )


def _layer_called(name: str, layers: dict[str, nn.Module]) -> nn.Module:
    """Return the layer of that name; raise UsageError if there is none."""
    if name in layers and name:
        return layers[name]
    similar = [known for known in layers if "embed" in known.rpartition(".")[2]]
    raise UsageError(
        f"the model has no layer '{visible(name)}'",
        f"use one of its embedding layers: {listed(similar)}" if similar else None,
    )


def enclosing_layers(name: str) -> list[str]:
    """Return the names of the layers that contain the one called `name`, innermost first."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
