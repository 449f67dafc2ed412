"""Full batches: within the budget, nothing lost, and little of them padding."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.methods.parameters import SampleCount
from saliency_cli.model import passes
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import Gradients, gradient_passes
from saliency_cli.model.token_batch import TokenBatch
from tests.support.attribution import engine, scored
from tests.support.models import WORDS


@dataclass(frozen=True, slots=True)
class Piece:
    """Passes that stay together, of one length, with a number."""

    length: int
    passes: int
    number: int


def tokens(batch: Sequence[Piece]) -> int:
    return sum(piece.passes for piece in batch) * max(piece.length for piece in batch)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 64), st.integers(1, 40)), max_size=40),
    budget=st.integers(1, 600),
    equal=st.booleans(),
)
def test_nothing_is_lost_and_only_one_indivisible_item_exceeds_the_budget(
    sizes: list[tuple[int, int]], budget: int, *, equal: bool
) -> None:
    ordered = sorted(sizes, reverse=True)
    queue = deque(Piece(length, passes, n) for n, (length, passes) in enumerate(ordered))
    found: list[int] = []
    while queue:
        batch = Budget(budget, equal_lengths=equal).take(queue)
        found += [piece.number for piece in batch]
        assert tokens(batch) <= budget or len(batch) == 1
        assert not equal or len({piece.length for piece in batch}) == 1
    assert found == [*range(len(sizes))]


@given(
    lengths=st.lists(st.integers(1, 64), max_size=80).map(lambda each: sorted(each, reverse=True)),
    budget=st.integers(1, 900),
    passes=st.integers(1, 2),
)
def test_draws_are_divided_within_the_budget(lengths: list[int], budget: int, passes: int) -> None:
    first = 0
    for size in Budget(budget).divide(lengths, passes=passes):
        assert size == 1 or size * passes * lengths[first] <= budget
        first += size
    assert first == len(lengths)


def test_draws_of_one_length_are_divided_evenly() -> None:
    assert [*Budget(1024).divide([32] * 80, passes=2)] == [16] * 5
    assert [*Budget(1024).divide([32] * 17, passes=2)] == [9, 8]


@pytest.mark.parametrize(("samples", "replicas"), [(10, 1), (10, 2), ("auto", 1), ("auto", 2)])
def test_little_of_the_batches_is_padding(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch, samples: SampleCount, replicas: int
) -> None:
    """Texts of 3 to 62 tokens, few of each length; some take more draws than others."""
    real: list[int] = []
    padded: list[int] = []  # lists, since replicas run in threads

    def counted(
        classifier: Classifier,
        tokens: TokenBatch,
        shift: Tensor,
        **rest: Any,  # noqa: ANN401
    ) -> Gradients:
        real.append(int(tokens.lengths.sum()))
        padded.append(shift.shape[0] * shift.shape[1])
        return gradient_passes(classifier, tokens, shift, **rest)

    monkeypatch.setattr(passes, "gradient_passes", counted)
    texts = [
        " ".join((WORDS * 5)[start : start + length]) for start in (0, 7) for length in LENGTHS
    ]
    run = replace(engine(bert, samples=samples, noise=0.02, tokens=1024), replicas=replicas)
    scored(run, texts)
    assert 0.95 * sum(padded) < sum(real) < sum(padded)


LENGTHS = [*range(1, 30), *range(30, 61, 2)]
