"""Full batches: within the budget, nothing lost, and little of them padding."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
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
from tests.support.attribution import engine, scored
from tests.support.models import WORDS


@dataclass(frozen=True, slots=True)
class Piece:
    """Passes of one length, each with a number."""

    length: int
    numbers: tuple[int, ...]
    passes_together: int = 1

    @property
    def passes(self) -> int:
        return len(self.numbers)

    def split(self, passes: int) -> "tuple[Piece, Piece]":
        return (
            replace(self, numbers=self.numbers[:passes]),
            replace(self, numbers=self.numbers[passes:]),
        )


def sorted_pieces(sizes: Sequence[tuple[int, int]], *, together: int) -> deque[Piece]:
    numbers = count()
    ordered = sorted(sizes, reverse=True)
    return deque(
        Piece(length, tuple(next(numbers) for _ in range(together * rows)), together)
        for length, rows in ordered
    )


def tokens(batch: Sequence[Piece]) -> int:
    return sum(piece.passes for piece in batch) * max(piece.length for piece in batch)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 64), st.integers(1, 40)), max_size=40),
    budget=st.integers(1, 600),
    together=st.integers(1, 3),
    equal=st.booleans(),
)
def test_nothing_is_lost_and_only_one_indivisible_item_exceeds_the_budget(
    sizes: list[tuple[int, int]], budget: int, together: int, *, equal: bool
) -> None:
    queue = sorted_pieces(sizes, together=together)
    expected = [number for piece in queue for number in piece.numbers]
    found: list[int] = []
    while queue:
        batch = Budget(budget, equal_lengths=equal).take(queue)
        found += [number for piece in batch for number in piece.numbers]
        assert tokens(batch) <= budget or sum(piece.passes for piece in batch) == together
        assert not equal or len({piece.length for piece in batch}) == 1
    assert found == expected


@pytest.mark.parametrize(("samples", "replicas"), [(10, 1), (10, 2), ("auto", 1), ("auto", 2)])
def test_little_of_the_batches_is_padding(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch, samples: SampleCount, replicas: int
) -> None:
    """Texts of 3 to 62 tokens, few of each length; some take more draws than others."""
    real = padded = 0

    def counted(classifier: Classifier, aims: Any, shift: Tensor, **rest: Any) -> Gradients:  # noqa: ANN401
        nonlocal real, padded
        real += sum(len(aim.clean.encoding) * aim.draws for aim in aims)
        padded += shift.shape[0] * shift.shape[1]
        return gradient_passes(classifier, aims, shift, **rest)

    monkeypatch.setattr(passes, "gradient_passes", counted)
    texts = [
        " ".join((WORDS * 5)[start : start + length]) for start in (0, 7) for length in LENGTHS
    ]
    run = replace(engine(bert, samples=samples, noise=0.02, tokens=1024), replicas=replicas)
    scored(run, texts)
    assert 0.95 * padded < real < padded


LENGTHS = [*range(1, 30), *range(30, 61, 2)]
