"""Orders of the tokens of texts: from scores, at random, and the best that a beam search finds.

An order is a rank for each token, from 0 on; tokens that cannot be taken out have the last ranks.
Shapes: T texts, O orders, S states of the search, L tokens of the longest text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Self

import torch
from torch import Tensor

from saliency_cli.attribution.noise import keyed_normal
from saliency_cli.evaluation.passes import Passes
from saliency_cli.evaluation.subject import TARGETS, Subject

WIDTH = 2
"""States of a text that the beam search keeps up to a fifth of the tokens, later one."""
CANDIDATES = 3
"""Tokens that a state is extended by: those whose removal had the largest effect when it was last
tried (as in lazy greedy search)."""
MOST_STEPS = 24
"""Tokens after which the rest follows by those effects, without further passes."""


def ranks_of(scores: Tensor, removable: Tensor) -> Tensor:
    """Return the rank of each token by score, largest first, [O, L].

    Args:
        scores: [O, L].
        removable: Whether a token can be taken out, [O, L].
    """
    order = scores.masked_fill(~removable, -inf).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1)


def padded(scores: Sequence[Sequence[float]], *, longest: int) -> Tensor:
    """Return the scores of texts as one tensor, [T, L], with 0 after the end of a text.

    Args:
        scores: One score a token.
        longest: L.
    """
    return torch.tensor(
        [[*each, *[0.0] * (longest - len(each))] for each in scores], dtype=torch.float64
    )


def random_ranks(passes: Passes, *, seed: int) -> tuple[Tensor, Tensor]:
    """Return a random order of each text's tokens, and its reverse, each [T, L].

    Args:
        passes: The texts.
        seed: The key of the order, together with the text.
    """
    tokens = passes.tokens
    noise = keyed_normal(tokens, torch.ones(len(tokens)).long(), seed=seed, width=1)[..., 0].cpu()
    return ranks_of(noise, passes.removable), ranks_of(-noise, passes.removable)


@dataclass(frozen=True, slots=True)
class _States:
    """States of the search: sets of tokens in the order in which they were chosen.

    Attributes:
        texts: The text of each, [S].
        ranks: The rank of the tokens that are in the set, −1 for the others, [S, L].
        effects: What each token added when it was last tried, [S, L].
        values: What the set is worth: the larger the better, [S].
    """

    texts: Tensor
    ranks: Tensor
    effects: Tensor
    values: Tensor

    def select(self, numbers: Tensor) -> Self:
        """Return the states with these numbers."""
        columns = (self.texts, self.ranks, self.effects, self.values)
        return type(self)(*(column[numbers] for column in columns))

    def order(self, removable: Tensor) -> Tensor:
        """Return the ranks [S, L] of all tokens: the chosen ones, then the rest by effect."""
        chosen = self.ranks >= 0
        rest = self.effects.masked_fill(chosen, inf)
        first = torch.where(chosen, self.ranks, torch.full_like(self.ranks, self.ranks.shape[1]))
        by_effect = ranks_of(rest, removable[self.texts])
        return (first * (2 * first.shape[1]) + by_effect).argsort(dim=1).argsort(dim=1)


def best_orders(
    subject: Subject, texts: Tensor, depths: Tensor, *, by: str, keep: bool
) -> list[Tensor]:
    """Return several orders of each text's tokens, each [T, L], of which one is about the best.

    They are those of a beam search for the set whose removal lowers the label's probability most
    (or that alone keeps it up), and the orders by the effect of each token alone.

    Args:
        subject: Texts and model.
        texts: The numbers of the texts, [T].
        depths: How many tokens of each are chosen one after the other, [T].
        by: One of `passes.REMOVALS`.
        keep: Whether the chosen tokens stay and the others are taken out.
    """
    removable = subject.passes.removable
    states, by_logit = _first_states(subject, texts, by=by, keep=keep)
    alone = [ranks_of(effects, removable[texts]) for effects in (states.effects, by_logit)]
    for step in range(min(MOST_STEPS, int(depths.max()))):
        going_on = depths[states.texts.unsqueeze(1).eq(texts).long().argmax(dim=1)] > step
        if not going_on.any():
            break
        extended = _extended(subject, states.select(going_on.nonzero()[:, 0]), by=by, keep=keep)
        done = states.select((~going_on).nonzero()[:, 0])
        wide = {*texts[5 * (step + 1) <= 2 * depths].tolist()}
        states = _joined(done, _best(extended, wide=wide))
    orders = states.order(removable)
    return [*alone, *_by_text(orders, states, texts)]


def _first_states(
    subject: Subject, texts: Tensor, *, by: str, keep: bool
) -> tuple[_States, Tensor]:
    """Return an empty set for each text with the effect of each token alone, on both targets."""
    shape = (len(texts), subject.passes.removable.shape[1])
    empty = _States(
        texts,
        torch.full(shape, -1),
        torch.zeros(shape, dtype=torch.float64),
        torch.zeros(shape[0], dtype=torch.float64),
    )
    state, token = subject.passes.removable[texts].nonzero(as_tuple=True)
    sets = torch.zeros(len(texts) + len(token), shape[1], dtype=torch.bool)
    sets[len(texts) + torch.arange(len(token)), token] = True
    lines = torch.cat((texts, texts[state]))
    found = _worth(subject, lines, sets, by=by, keep=keep)
    effects = []
    for target in TARGETS:
        worth = found[target]
        alone = torch.full(shape, -inf, dtype=torch.float64)
        alone[state, token] = worth[len(texts) :] - worth[: len(texts)][state]
        effects.append(alone)
    values = found[TARGETS[0]][: len(texts)]
    return replace(empty, effects=effects[0], values=values), effects[1]


def _worth(
    subject: Subject, texts: Tensor, sets: Tensor, *, by: str, keep: bool
) -> dict[str, Tensor]:
    """Return what sets of tokens are worth, [N] for each target: the larger the better.

    Of the probability it is the log-odds, which have the same order, but do not saturate: what a
    token adds then changes less from set to set.
    """
    removed = subject.passes.removable[texts] & ~sets if keep else sets
    sign = 1 if keep else -1
    probability, logit = subject.outputs(texts, removed, by=by).values()
    worth = (sign * probability.logit(eps=1e-12), sign * logit)
    return dict(zip(TARGETS, worth, strict=True))


def _extended(subject: Subject, states: _States, *, by: str, keep: bool) -> _States:
    """Return the states with one token more: each by the tokens with the largest effects."""
    chosen = states.ranks >= 0
    free = states.effects.masked_fill(chosen, -inf)
    top = free.topk(min(CANDIDATES, free.shape[1]), dim=1)
    state, place = (top.values > -inf).nonzero(as_tuple=True)
    token = top.indices[state, place]
    lines = torch.arange(len(state))
    sets = chosen[state]
    sets[lines, token] = True
    worth = _worth(subject, states.texts[state], sets, by=by, keep=keep)[TARGETS[0]]
    effects = states.effects.clone()
    effects[state, token] = worth - states.values[state]
    ranks = states.ranks[state]
    ranks[lines, token] = chosen.sum(dim=1)[state]
    return _States(states.texts[state], ranks, effects[state], worth)


def _best(states: _States, *, wide: set[int]) -> _States:
    """Return the best sets of each text, each set once: WIDTH sets of the texts in `wide`."""
    kept: list[int] = []
    seen: dict[int, set[bytes]] = {}
    sets = [row.numpy().tobytes() for row in states.ranks >= 0]
    for number in states.values.argsort(descending=True, stable=True).tolist():
        text = int(states.texts[number])
        found = seen.setdefault(text, set())
        if len(found) < (WIDTH if text in wide else 1) and sets[number] not in found:
            found.add(sets[number])
            kept.append(number)
    return states.select(torch.tensor(sorted(kept)))


def _joined(first: _States, second: _States) -> _States:
    names = ("texts", "ranks", "effects", "values")
    return _States(*(torch.cat((getattr(first, n), getattr(second, n))) for n in names))


def _by_text(orders: Tensor, states: _States, texts: Tensor) -> list[Tensor]:
    """Return the orders of the states as WIDTH orders a text, [T, L] each, the best first."""
    of_text = [
        sorted((states.texts == text).nonzero()[:, 0].tolist(), key=lambda n: -states.values[n])
        for text in texts.tolist()
    ]
    return [
        torch.stack([orders[numbers[min(place, len(numbers) - 1)]] for numbers in of_text])
        for place in range(WIDTH)
    ]
