"""Takes off what wrappers put before every key: `module.`, `model.`, `_orig_mod.` and so on."""

from collections.abc import Callable, Collection, Iterator

from saliency_cli.checkpoints.saved import Weights

COMPILED = "_orig_mod"
"""torch.compile puts it wherever in the module it was called, not only in front."""


def unwrapped(weights: Weights, wanted: Callable[[], Collection[str]]) -> Weights:
    """Return the weights under the names that agree best with those that are `wanted`.

    A name is only ever shortened as all others are. Whether every key then fits is for the loader
    to see, which takes nothing less. `wanted` is asked only where there is a choice.
    """
    candidates = list(_candidates(weights))
    if len(candidates) == 1:
        return weights
    names = set(wanted())
    return max(candidates, key=lambda candidate: len(names.intersection(candidate)))


def _candidates(weights: Weights) -> Iterator[Weights]:
    """Yield the weights as they are, then without one more component in front each time."""
    yield weights
    paths = {key: [part for part in key.split(".") if part != COMPILED] for key in weights}
    depth = 0
    while True:
        named = {".".join(path[depth:]): weights[key] for key, path in paths.items()}
        if len(named) < len(weights) or "" in named:
            return
        if named.keys() != weights.keys():
            yield named
        if len({path[depth] for path in paths.values()}) > 1:
            return
        depth += 1
