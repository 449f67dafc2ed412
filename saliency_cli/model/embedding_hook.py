"""The hook that replaces an embedding layer's output by a leaf tensor with noise.

Shapes: B passes in the batch, L tokens, H embedding dimensions.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from saliency_cli.errors import CheckpointError

LayerArgs: TypeAlias = tuple[object, ...]
LayerKwargs: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class EmbeddingHook:
    """The state of a hooked embedding layer during one forward pass.

    An encoder and a decoder that share an embedding run it twice: on `input_ids`, and on
    `input_ids` shifted right by one position behind a start token. Both runs read the same leaf, so
    a token gets the same noise in both, and its gradient is the sum over both.

    Attributes:
        name: The layer's name, for the error message.
        displacement: The noise z that is added to the output, [B, L, H], or None for none.
        tokens_first: Whether the layer returns [L, B, H].
        runs: How often the layer ran.
        runs_match: Whether every run had the ids of the first one, the same or shifted.
    """

    name: str
    displacement: Tensor | None = None
    tokens_first: bool = False
    runs: int = 0
    runs_match: bool = True
    _first: "_FirstRun | None" = None

    @property
    def leaf(self) -> Tensor:
        """The leaf tensor [B, L, H], in float32.

        Raises:
            CheckpointError: The layer did not run, or ran again on other ids.
        """
        if self._first is None or not self.runs_match:
            raise CheckpointError(
                f"the layer {self.name} ran {self.runs} times in one pass; it must run on the "
                "texts' token ids, and again only on the same ids or on those shifted by one",
                "choose another layer with --embedding-layer",
            )
        return self._first.leaf

    def replace(self, ids: Tensor | None, clean: Tensor) -> Tensor:
        """Return the tensor that replaces an output of the layer, in the output's dtype.

        Args:
            ids: The token ids that the layer got, or None if it got none.
            clean: The layer's output, laid out as `tokens_first` has it.
        """
        if not self.tokens_first:
            return self._replace(ids, clean)
        ids = None if ids is None else ids.transpose(0, 1)
        return self._replace(ids, clean.transpose(0, 1)).transpose(0, 1)

    def _replace(self, ids: Tensor | None, clean: Tensor) -> Tensor:
        self.runs += 1
        if self._first is None:
            self._first = _FirstRun(ids, clean.detach(), self._make_leaf(clean))
            return self._first.output(clean.dtype)
        replaced = self._first.replace_later(ids, clean)
        self.runs_match = self.runs_match and replaced is not None
        return clean if replaced is None else replaced

    def _make_leaf(self, clean: Tensor) -> Tensor:
        leaf = clean.detach().float()
        if self.displacement is not None:
            leaf = leaf + self.displacement
        return leaf.requires_grad_(torch.is_grad_enabled())


@dataclass(frozen=True, slots=True)
class _FirstRun:
    """The layer's first run in a pass: its ids [B, L], its output [B, L, H], and the leaf."""

    ids: Tensor | None
    clean: Tensor
    leaf: Tensor

    def output(self, dtype: torch.dtype) -> Tensor:
        """Return a copy of the leaf: a module may change it in place, and a leaf forbids that."""
        return self.leaf.to(dtype, copy=True)

    def replace_later(self, ids: Tensor | None, clean: Tensor) -> Tensor | None:
        """Return the replacement of a later run's output, or None if its tokens are others."""
        if self.ids is None or ids is None or ids.shape != self.ids.shape:
            return None
        if torch.equal(ids, self.ids) and torch.equal(clean, self.clean):
            return self.output(clean.dtype)
        shifted = torch.equal(ids[:, 1:], self.ids[:, :-1])
        if shifted and torch.equal(clean[:, 1:], self.clean[:, :-1]):
            return torch.cat((clean[:, :1], self.leaf[:, :-1].to(clean.dtype)), dim=1)
        return None


@contextmanager
def hook_embedding(
    module: nn.Module,
    layer: nn.Module,
    *,
    name: str,
    displacement: Tensor | None = None,
    tokens_first: bool = False,
) -> Iterator[EmbeddingHook]:
    """Replace the output of an embedding layer by a leaf tensor while the context is open.

    The model still gets the real `input_ids`, not `inputs_embeds`: a model that finds its padding
    by the ids (GPT-2) needs them. The leaf is float32 in any dtype of the model, so that noise is
    added and gradients are taken in float32.

    Args:
        module: The whole model.
        layer: The embedding layer, part of `module`.
        name: The layer's name, for error messages.
        displacement: The noise z that is added to the output, [B, L, H].
        tokens_first: Whether the layer returns [L, B, H], as XLNet's does. The leaf is [B, L, H]
            in any case.

    Raises:
        CheckpointError: The layer's output is not a tensor of three dimensions.
    """
    hook = EmbeddingHook(name, displacement, tokens_first)

    def swap(_layer: nn.Module, args: LayerArgs, kwargs: LayerKwargs, output: object) -> Tensor:
        return hook.replace(token_ids(args, kwargs), _checked_output(output, name))

    with ExitStack() as handles:
        for each in layers_sharing_weight(module, layer):
            handle = each.register_forward_hook(swap, with_kwargs=True)
            handles.callback(handle.remove)
        yield hook


def layers_sharing_weight(module: nn.Module, layer: nn.Module) -> list[nn.Module]:
    """Return `layer` and the embeddings that share its weight.

    transformers ties an encoder's and a decoder's embedding in this way.
    """
    if not isinstance(layer, nn.Embedding):
        return [layer]
    return [each for each in embedding_layers(module).values() if each.weight is layer.weight]


def embedding_layers(module: nn.Module) -> dict[str, nn.Embedding]:
    """Return all `nn.Embedding` layers of a model by name."""
    named = module.named_modules()
    return {name: layer for name, layer in named if isinstance(layer, nn.Embedding)}


def token_ids(args: LayerArgs, kwargs: LayerKwargs) -> Tensor | None:
    """Return the token ids [B, L] among the arguments of a layer, or None if there are none.

    Args:
        args: The positional arguments of its `forward`.
        kwargs: The keyword arguments of its `forward`.
    """
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor) and value.dim() == 2 and not value.is_floating_point():
            return value
    return None


def _checked_output(output: object, name: str) -> Tensor:
    """Return a layer's output; raise CheckpointError if it is not a tensor [B, L, H]."""
    if not isinstance(output, Tensor) or output.dim() != 3:
        raise CheckpointError(
            f"the layer {name} does not return a tensor of batch × tokens × dimensions",
            "choose the layer that embeds the tokens with --embedding-layer",
        )
    return output
