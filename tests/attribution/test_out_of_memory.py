"""Memory runs out: the batches get smaller, the scores stay; only what never fits is let go."""

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from saliency_cli.attribution import rounds, scores
from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.methods.parameters import SampleCount
from saliency_cli.attribution.parts import Parts
from saliency_cli.model import passes
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.memory import is_out_of_memory
from saliency_cli.model.passes import CleanPasses, Gradients, clean_passes, gradient_passes
from saliency_cli.model.token_batch import TokenBatch
from saliency_cli.records import BadRow, Row
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS, WORDS

CPU_ERROR = "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Inject a failure into every batch of more tokens than so many; returns the sizes tried."""

    def limit(tokens: int, error: Exception) -> list[int]:
        tried: list[int] = []

        def limited(
            classifier: Classifier,
            texts: TokenBatch,
            shift: Tensor,
            **rest: Any,  # noqa: ANN401
        ) -> Gradients:
            passes = 2 if rest["antithetic"] else 1
            tried.append(passes * shift.shape[0] * shift.shape[1])
            if tried[-1] > tokens:
                raise error
            return gradient_passes(classifier, texts, shift, **rest)

        monkeypatch.setattr(passes, "gradient_passes", limited)
        return tried

    return limit


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError(CPU_ERROR), MemoryError()], ids=repr
)
@pytest.mark.parametrize("samples", [16, "auto"])
def test_the_batches_are_halved_until_they_fit_and_the_scores_stay(
    bert: Classifier, room_for: Callable[..., list[int]], error: Exception, samples: SampleCount
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


class Room:
    """Memory for so many tokens at once; what a pass takes is free when nothing refers to it."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.taken: weakref.WeakSet[Tensor] = weakref.WeakSet()
        self.refused: list[int] = []

    def take(self, shift: Tensor) -> Tensor:
        wanted = shift.shape[0] * shift.shape[1]
        if sum(len(each) for each in self.taken) + wanted > self.tokens:
            self.refused.append(wanted)
            raise torch.OutOfMemoryError("CUDA")
        taken = torch.empty(wanted)
        self.taken.add(taken)
        return taken


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_failed_gives_its_memory_back_before_the_next_batch(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    run = replace(engine(bert, samples=64, tokens=10_000), replicas=replicas)
    whole = scored(run, TEXTS)
    room = Room(200)

    def two_steps(
        classifier: Classifier,
        texts: TokenBatch,
        shift: Tensor,
        **rest: Any,  # noqa: ANN401
    ) -> Gradients:
        held = room.take(shift)  # an activation, and then one that there is no room for
        also = room.take(shift)
        return _kept(gradient_passes(classifier, texts, shift, **rest), held, also)

    monkeypatch.setattr(passes, "gradient_passes", two_steps)
    for one, other in zip(scored(run, TEXTS), whole, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert room.refused


def _kept(gradients: Gradients, *_held: Tensor) -> Gradients:
    return gradients


def test_a_text_that_only_fits_by_itself_is_tried_by_itself(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(engine(bert, samples=8, tokens=1), replicas=2)
    texts = [f"{word} {TEXTS[3]}" for word in WORDS[:4]]
    whole = scored(run, texts)
    busy, refused = threading.Semaphore(1), []

    def one_at_a_time(
        classifier: Classifier,
        texts: TokenBatch,
        shift: Tensor,
        **rest: Any,  # noqa: ANN401
    ) -> Gradients:
        if not busy.acquire(blocking=False):
            refused.append(len(texts))
            raise torch.OutOfMemoryError("CUDA")
        try:
            time.sleep(0.05)
            return gradient_passes(classifier, texts, shift, **rest)
        finally:
            busy.release()

    monkeypatch.setattr(passes, "gradient_passes", one_at_a_time)
    for one, other in zip(scored(run, texts), whole, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert refused


def test_a_text_that_never_fits_is_quarantined_and_the_others_are_not(
    bert: Classifier, room_for: Callable[..., list[int]]
) -> None:
    room_for(30, torch.OutOfMemoryError("CUDA"))
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(TEXTS)]
    outcomes = list(explain(rows, engine(bert, samples=4)))
    bad = [outcome for outcome in outcomes if isinstance(outcome, BadRow)]
    assert [row.ordinal for row in bad] == [3]
    assert bad[0].reason.startswith("memory ran out")


def test_a_round_is_divided_until_its_scores_fit(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{word} {TEXTS[0]}" for word in WORDS]  # of one length, but for a few
    whole = scored(engine(bert, samples=4), texts)
    made: list[int] = []
    means = scores.mean_contributions

    def limited(parts: Parts) -> Tensor:
        made.append(len(parts))
        if len(parts) > 3:
            raise torch.OutOfMemoryError("CUDA")
        return means(parts)

    monkeypatch.setattr(scores, "mean_contributions", limited)
    for one, other in zip(scored(engine(bert, samples=4), texts), whole, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()
    assert max(made) > 3


def test_another_error_is_not_taken_for_want_of_memory(
    bert: Classifier, room_for: Callable[..., list[int]]
) -> None:
    room_for(0, RuntimeError("the sizes of tensors must match"))
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(TEXTS)]
    for outcome in explain(rows, engine(bert, samples=2)):
        assert isinstance(outcome, BadRow)
        assert outcome.reason == "the model fails: RuntimeError: the sizes of tensors must match"
    assert not is_out_of_memory(ValueError("can't allocate memory"))


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

    def limited(classifier: Classifier, texts: TokenBatch) -> CleanPasses:
        tried.append(len(texts))
        if len(texts) > passes:
            raise torch.OutOfMemoryError("CUDA")
        return clean_passes(classifier, texts)

    monkeypatch.setattr(rounds, "clean_passes", limited)
    return tried
