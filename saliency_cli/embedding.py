"""Finds the layer that the noise goes into, and puts the noisy leaf in place of its output."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.escapes import listed, visible


@dataclass(slots=True)
class Tap:
    """What was seen at the layer during one forward pass."""

    name: str
    leaves: list[Tensor] = field(default_factory=list)

    @property
    def leaf(self) -> Tensor:
        """The leaf [B, L, H], in float32.

        Raises:
            CheckpointError: the layer did not run exactly once.
        """
        if len(self.leaves) != 1:
            raise CheckpointError(
                f"the layer {self.name} ran {len(self.leaves)} times in one pass, not once",
                "name another with --embedding-layer",
            )
        return self.leaves[0]


@contextmanager
def tapped(layer: nn.Module, *, name: str, displacement: Tensor | None = None) -> Iterator[Tap]:
    """Swap the output of `layer` for a leaf that is displaced, and asks for a gradient.

    The real `input_ids` still go into the model, so that one which finds its padding through them
    (GPT-2) goes on to do so; `inputs_embeds` would take that away. The leaf is float32 whatever the
    model runs in, so noise is added and gradients are taken in float32.

    Raises:
        CheckpointError: the layer's output is no tensor [B, L, H].
    """
    tap = Tap(name)

    def swap(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        clean = _checked(output, name)
        leaf = clean.detach().float()
        if displacement is not None:
            leaf = leaf + displacement
        tap.leaves.append(leaf.requires_grad_(torch.is_grad_enabled()))
        return tap.leaves[-1].to(clean.dtype)

    handle = layer.register_forward_hook(swap)
    try:
        yield tap
    finally:
        handle.remove()


def _checked(output: object, name: str) -> Tensor:
    if not isinstance(output, Tensor) or output.dim() != 3:
        raise CheckpointError(
            f"the layer {name} gives no tensor of batch × tokens × dimensions",
            "name one that embeds the tokens with --embedding-layer",
        )
    return output


def find_layer(module: nn.Module, name: str | None) -> tuple[str, nn.Module]:
    """Return the layer called `name`, by default the one that embeds the tokens, with its name.

    Raises:
        UsageError: there is no layer of that name.
        CheckpointError: the model does not tell which layer embeds its tokens.
    """
    layers = dict(module.named_modules())
    if name is not None:
        return name, _named(layers, name)
    embedding = getattr(module, "get_input_embeddings", lambda: None)()
    for known, layer in layers.items():
        if embedding is not None and layer is embedding:
            return known, layer
    raise CheckpointError(
        "the model does not tell its embedding layer", "name it: --embedding-layer"
    )


def _named(layers: dict[str, nn.Module], name: str) -> nn.Module:
    if name in layers and name:
        return layers[name]
    close = [known for known in layers if "embed" in known.rpartition(".")[2]]
    raise UsageError(
        f"the model has no layer '{visible(name)}'",
        f"its layers named like an embedding: {listed(close)}" if close else None,
    )


def enclosing(name: str) -> list[str]:
    """Return the names of the layers around the one called `name`, innermost first."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
