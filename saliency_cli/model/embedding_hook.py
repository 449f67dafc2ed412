"""Finds the layer that the noise goes into, and puts the noisy leaf in place of its output."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.safe_text import excerpt, listed, visible

Inputs: TypeAlias = tuple[object, ...]
Keywords: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class EmbeddingHook:
    """What was seen at the layer during one forward pass.

    An encoder and a decoder share one embedding, and it runs in both: on `input_ids`, and on
    `input_ids` moved one place to the right behind a start token. Both runs read the one leaf, so
    a token is displaced by the same noise in both, and its gradient is the sum over both.
    """

    name: str
    displacement: Tensor | None = None
    tokens_first: bool = False
    runs: int = 0
    fits: bool = True
    _first: "_Run | None" = None

    @property
    def leaf(self) -> Tensor:
        """The leaf [B, L, H], in float32.

        Raises:
            CheckpointError: the layer did not run, or ran again on other ids.
        """
        if self._first is None or not self.fits:
            raise CheckpointError(
                f"the layer {self.name} ran {self.runs} times in one pass, not once on the texts' "
                "tokens, as it stands or moved by one place",
                "name another with --embedding-layer",
            )
        return self._first.leaf

    def take(self, ids: Tensor | None, clean: Tensor) -> Tensor:
        """Return what stands in for the output `clean` that the layer made of `ids`."""
        if not self.tokens_first:
            return self._take(ids, clean)
        ids = None if ids is None else ids.transpose(0, 1)
        return self._take(ids, clean.transpose(0, 1)).transpose(0, 1)

    def _take(self, ids: Tensor | None, clean: Tensor) -> Tensor:
        self.runs += 1
        if self._first is None:
            self._first = _Run(ids, clean.detach(), self._displaced(clean))
            return self._first.leaf.to(clean.dtype)
        again = self._first.again(ids, clean)
        self.fits = self.fits and again is not None
        return clean if again is None else again

    def _displaced(self, clean: Tensor) -> Tensor:
        leaf = clean.detach().float()
        if self.displacement is not None:
            leaf = leaf + self.displacement
        return leaf.requires_grad_(torch.is_grad_enabled())


@dataclass(frozen=True, slots=True)
class _Run:
    """The first run in a pass: its ids [B, L], its output, and the leaf that stands in for it."""

    ids: Tensor | None
    clean: Tensor
    leaf: Tensor

    def again(self, ids: Tensor | None, clean: Tensor) -> Tensor | None:
        """Return what stands in for a later run's output, or None where that has other tokens."""
        if self.ids is None or ids is None or ids.shape != self.ids.shape:
            return None
        if torch.equal(ids, self.ids) and torch.equal(clean, self.clean):
            return self.leaf.to(clean.dtype)
        moved = torch.equal(ids[:, 1:], self.ids[:, :-1])
        if moved and torch.equal(clean[:, 1:], self.clean[:, :-1]):
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
    """Swap the output of `layer` for a leaf that is displaced, and asks for a gradient.

    The real `input_ids` still go into the model, so that one which finds its padding through them
    (GPT-2) goes on to do so; `inputs_embeds` would take that away. The leaf is float32 whatever the
    model runs in, so noise is added and gradients are taken in float32. It is [B, L, H] also where
    the layer has `tokens_first`, [L, B, H], as XLNet's.

    Raises:
        CheckpointError: the layer's output is no tensor [B, L, H].
    """
    tap = EmbeddingHook(name, displacement, tokens_first)

    def swap(_layer: nn.Module, args: Inputs, kwargs: Keywords, output: object) -> Tensor:
        return tap.take(_ids(args, kwargs), _checked(output, name))

    with ExitStack() as hooks:
        for each in _twins(module, layer):
            handle = each.register_forward_hook(swap, with_kwargs=True)
            hooks.callback(handle.remove)
        yield tap


def _twins(module: nn.Module, layer: nn.Module) -> list[nn.Module]:
    """Return `layer` and the embeddings that share its weight, as transformers ties them."""
    if not isinstance(layer, nn.Embedding):
        return [layer]
    return [each for each in _embeddings(module).values() if each.weight is layer.weight]


def _embeddings(module: nn.Module) -> dict[str, nn.Embedding]:
    named = module.named_modules()
    return {name: layer for name, layer in named if isinstance(layer, nn.Embedding)}


def _ids(args: Inputs, kwargs: Keywords) -> Tensor | None:
    """Return the token ids [B, L] among a layer's inputs, if it was given any."""
    for value in (*args, *kwargs.values()):
        if isinstance(value, Tensor) and value.dim() == 2 and not value.is_floating_point():
            return value
    return None


def _checked(output: object, name: str) -> Tensor:
    if not isinstance(output, Tensor) or output.dim() != 3:
        raise CheckpointError(
            f"the layer {name} gives no tensor of batch × tokens × dimensions",
            "name one that embeds the tokens with --embedding-layer",
        )
    return output


def find_layer(
    module: nn.Module, name: str | None, *, inputs: Callable[[], Keywords] | None = None
) -> tuple[str, nn.Module]:
    """Return the layer called `name`, by default the one that embeds the tokens, with its name.

    A module that does not tell its own is run once on `inputs`.

    Raises:
        UsageError: there is no layer of that name.
        CheckpointError: neither the model nor a run tells which layer embeds its tokens.
    """
    if name is not None:
        return name, _named(dict(module.named_modules()), name)
    told = _told(module)
    for known, layer in module.named_modules():
        if layer is told and layer is not module:
            return known, told
    if inputs is None:
        raise _undecided([], "")
    return trace_layer(module, inputs())


def token_rows(module: nn.Module, *, inputs: Callable[[], Keywords]) -> int | None:
    """Return how many ids the token embedding has a row for, or None if it cannot be told."""
    try:
        _, layer = find_layer(module, None, inputs=inputs)
    except CheckpointError:
        return None
    return layer.num_embeddings if isinstance(layer, nn.Embedding) else None


def _told(module: nn.Module) -> nn.Module | None:
    try:
        return cast("nn.Module", module.get_input_embeddings())  # type: ignore[operator]
    except (AttributeError, NotImplementedError):  # a module of one's own; a model without a name
        return None


def trace_layer(module: nn.Module, inputs: Keywords) -> tuple[str, nn.Module]:
    """Run `module` on `inputs`, and return the embedding that was given its `input_ids`.

    They may come to it with the tokens first. They are seen before they are looked up, so an id
    that has no row does not hide the layer.

    Raises:
        CheckpointError: no embedding was given them, or several that share no weight were.
    """
    wanted: Tensor = inputs["input_ids"]
    given: dict[str, nn.Embedding] = {}
    with ExitStack() as hooks:
        for name, layer in _embeddings(module).items():

            def row_stats(
                layer: nn.Module, args: Inputs, kwargs: Keywords, name: str = name
            ) -> None:
                ids = _ids(args, kwargs)
                if ids is not None and (torch.equal(ids, wanted) or torch.equal(ids.T, wanted)):
                    given[name] = cast("nn.Embedding", layer)

            hooks.callback(layer.register_forward_pre_hook(row_stats, with_kwargs=True).remove)
        reason = _failure(module, inputs)
    weights = {id(layer.weight): name for name, layer in reversed(given.items())}
    if len(weights) == 1:
        (name,) = weights.values()
        return name, given[name]
    raise _undecided(list(weights.values())[::-1] or list(_embeddings(module)), reason)


def _failure(module: nn.Module, inputs: Keywords) -> str:
    """Run the module for its hooks alone; return what stopped it, if anything did."""
    try:
        with torch.no_grad():
            module(**inputs)
    except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything
        return excerpt(f": {type(error).__name__}: {error}".partition("\n")[0])
    return ""


def _undecided(names: list[str], reason: str) -> CheckpointError:
    hint = f"add --embedding-layer with one of {listed(names)}" if names else None
    return CheckpointError(
        f"the model does not tell which layer embeds its tokens{reason}",
        hint or "name it: --embedding-layer",
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
