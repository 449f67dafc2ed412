"""The weights of a model from the top down: the head, then layer after layer."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from saliency_cli.model.classifier import Classifier

Group = list[str]
"""Names of the parameters of a layer, or of the head."""


def weight_groups(classifier: Classifier) -> list[Group]:
    """Return the parameters of the head, then those of each layer from the last to the first.

    The layers are the `nn.ModuleList` with the most weights; the head is what is registered after
    it. A model without such a list has a group for each module that has weights. The embedding and
    what is registered before the layers are in no group.
    """
    module = classifier.module
    embedding = {id(weight) for weight in classifier.embedding.parameters()}
    names = [name for name, weight in module.named_parameters() if id(weight) not in embedding]
    layers = layer_list(module)
    if layers is None:
        return _by_module(names)
    own = [
        [n for n in names if n.startswith(f"{layers}.{k}.")] for k in range(_length(module, layers))
    ]
    inside = {name for group in own for name in group}
    last = max(place for place, name in enumerate(names) if name in inside)
    return [group for group in (names[last + 1 :], *reversed(own)) if group]


def layer_list(module: nn.Module) -> str | None:
    """Return the name of the list of a module's layers, or None if it has none."""
    sizes = {
        name: sum(weight.numel() for weight in each.parameters())
        for name, each in module.named_modules()
        if isinstance(each, nn.ModuleList) and len(each) > 1
    }
    return max(sizes, key=lambda name: sizes[name], default=None)


def _length(module: nn.Module, name: str) -> int:
    return len(module.get_submodule(name))  # type: ignore[arg-type]


def _by_module(names: Sequence[str]) -> list[Group]:
    """Return the parameters of each module, the last one first."""
    groups: dict[str, Group] = {}
    for name in names:
        groups.setdefault(name.rpartition(".")[0], []).append(name)
    return [*reversed(groups.values())]


def copied(classifier: Classifier) -> Classifier:
    """Return the classifier with a copy of its module that has weights of its own."""
    module = deepcopy(classifier.module)
    embedding = module.get_submodule(classifier.embedding_name)
    return replace(classifier, module=module, embedding=embedding)


def randomised(classifier: Classifier, names: Sequence[str], *, seed: int) -> Classifier:
    """Return a copy with random matrices: normal numbers of each matrix's own standard deviation.

    Vectors (biases, and the weights of normalisations) stay, so that activations keep their scale.

    Args:
        classifier: The model.
        names: The parameters that get other values.
        seed: The key of the numbers.
    """
    copy = copied(classifier)
    parameters = dict(copy.module.named_parameters())
    generator = torch.Generator().manual_seed(seed)
    for name in names:
        weight = parameters[name]
        if weight.dim() > 1:
            noise = torch.randn(weight.shape, generator=generator)
            weight.data.copy_(noise * float(weight.float().std()))
    return copy
