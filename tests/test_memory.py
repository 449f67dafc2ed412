"""Memory runs out: the batches get smaller, the scores stay; only what never fits is let go."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from saliency_cli import draws as engine_room
from saliency_cli import explain as flow
from saliency_cli.allocator import ran_out
from saliency_cli.classifier import Classifier
from saliency_cli.explain import explain
from saliency_cli.passes import Clean, Gradients, clean_passes, gradient_passes
from saliency_cli.records import BadRow, Encoding, Row

from .conftest import TEXTS, engine, scored

CPU_ERROR = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Inject a failure into every batch of more tokens than so many; returns the sizes tried."""

    def limit(tokens: int, error: Exception) -> list[int]:
        tried: list[int] = []

        def limited(classifier: Classifier, aims: Any, shift: Tensor, **rest: Any) -> Gradients:  # noqa: ANN401
            passes = 2 if rest["antithetic"] else 1
            tried.append(passes * shift.shape[0] * shift.shape[1])
            if tried[-1] > tokens:
                raise error
            return gradient_passes(classifier, aims, shift, **rest)

        monkeypatch.setattr(engine_room, "gradient_passes", limited)
        return tried

    return limit


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError(CPU_ERROR), MemoryError()], ids=repr
)
@pytest.mark.parametrize("samples", [16, None])
def test_the_batches_are_halved_until_they_fit_and_the_scores_stay(
    bert: Classifier, room_for: Callable[..., list[int]], error: Exception, samples: int | None
) -> None:
    run = engine(bert, samples=samples, tokens=400)
    whole = scored(run, TEXTS)
    tried = room_for(70, error)
    for one, other in zip(scored(run, TEXTS), whole, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert tried[0] > 70
    failed = [size for size in tried if size > 70]
    assert len(failed) <= 3
    assert failed == sorted(failed, reverse=True)


def test_a_text_that_never_fits_is_quarantined_and_the_others_are_not(
    bert: Classifier, room_for: Callable[..., list[int]]
) -> None:
    room_for(30, torch.OutOfMemoryError("CUDA"))
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(TEXTS)]
    outcomes = list(explain(rows, engine(bert, samples=4)))
    bad = [outcome for outcome in outcomes if isinstance(outcome, BadRow)]
    assert [row.ordinal for row in bad] == [3]
    assert bad[0].reason.startswith("memory ran out")


def test_another_error_is_not_taken_for_want_of_memory(
    bert: Classifier, room_for: Callable[..., list[int]]
) -> None:
    room_for(0, RuntimeError("the sizes of tensors must match"))
    with pytest.raises(RuntimeError, match="sizes"):
        scored(engine(bert, samples=2), TEXTS)
    assert not ran_out(ValueError("can't allocate memory"))


@pytest.mark.parametrize("room", [1, 2, 3])
def test_clean_passes_are_halved_too(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    run = engine(bert, samples=4, tokens=400)
    whole = scored(run, TEXTS)
    tried = clean_room(monkeypatch, room)
    for one, other in zip(scored(run, TEXTS), whole, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert max(tried) > room


def test_a_text_that_cannot_even_be_predicted_is_quarantined(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_room(monkeypatch, 0)
    rows = [Row(n, n, None, text) for n, text in enumerate(TEXTS)]
    outcomes = [*explain(rows, engine(bert, samples=4))]
    assert all(isinstance(each, BadRow) and "memory ran out" in each.reason for each in outcomes)


def clean_room(monkeypatch: pytest.MonkeyPatch, passes: int) -> list[int]:
    """Inject a failure into every batch of more clean passes than so many."""
    tried: list[int] = []

    def limited(classifier: Classifier, encodings: Sequence[Encoding]) -> list[Clean]:
        tried.append(len(encodings))
        if len(encodings) > passes:
            raise torch.OutOfMemoryError("CUDA")
        return clean_passes(classifier, encodings)

    monkeypatch.setattr(flow, "clean_passes", limited)
    return tried
