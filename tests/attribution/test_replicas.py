"""Batches side by side: the same scores, and an end to all threads whatever happens."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.replicas import open_replicas, replica
from saliency_cli.errors import Interrupted
from saliency_cli.explanations import Explanation
from saliency_cli.model import passes
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import Gradients, gradient_passes
from saliency_cli.records import Row
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS, WORDS


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("maths", [{"samples": 8}, {"noise": 0.05, "tolerance": 0.01}])
def test_replicas_change_no_byte(
    request: pytest.FixtureRequest, kind: str, maths: dict[str, Any]
) -> None:
    run = engine(request.getfixturevalue(kind), tokens=60, **maths)
    texts = [f"{text} {word}" for text in TEXTS for word in WORDS[:4]]
    alone = scored(run, texts)
    for count in (2, 3):
        together = scored(replace(run, replicas=count), texts)
        assert all(map(torch.equal, together, alone))


def test_the_same_bytes_twice(sample: Classifier) -> None:
    rows = [Row(number, number, None, text) for number, text in enumerate(TEXTS * 8)]
    run = replace(engine(sample, tokens=100), replicas=2)

    def records() -> list[object]:
        return [found.record() for found in explain(rows, run) if isinstance(found, Explanation)]

    first = records()
    assert len(first) == len(rows)
    assert first == records()


def test_the_batches_do_not_depend_on_who_is_done_first(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = replace(engine(bert, tokens=60, noise=0.05), replicas=2)
    texts = [f"{text} {word}" for text in TEXTS for word in WORDS[:6]]

    def batches(delay: Callable[[int], float]) -> list[tuple[tuple[int, ...], ...]]:
        made: list[tuple[tuple[int, ...], ...]] = []

        def delayed(classifier: Classifier, texts: Any, shift: Any, **rest: Any) -> Gradients:  # noqa: ANN401
            time.sleep(delay(len(made)))
            made.append(tuple(map(tuple, texts.ids.tolist())))
            return gradient_passes(classifier, texts, shift, **rest)

        monkeypatch.setattr(passes, "gradient_passes", delayed)
        scored(run, texts)
        return sorted(made)

    first = batches(lambda number: 0.005 * (number % 2))
    assert len(first) > 2 * len(texts)
    assert batches(lambda number: 0.005 * (number % 3 == 0)) == first


def test_only_the_rows_of_batches_under_way_are_suspected_of_a_death(bert: Classifier) -> None:
    at: dict[int, set[int]] = {}
    most = 0

    def watch(rows: Sequence[int]) -> None:
        nonlocal most
        at[threading.get_ident()] = set(rows)
        if len(at) > 1:  # a stream has begun: the whole window is encoded
            most = max(most, len(set().union(*at.values())))

    run = replace(engine(bert, tokens=60), replicas=2, watch=watch)
    texts = [f"{text} {word}" for text in TEXTS for word in WORDS[:6]]
    scored(run, texts)
    assert 0 < most < len(texts) / 2


def test_a_replica_shares_the_weights_and_nothing_else(bert: Classifier) -> None:
    copy = replica(bert)
    assert copy.module is not bert.module
    assert copy.embedding is copy.module.get_submodule(bert.embedding_name)
    assert copy.embedding is not bert.embedding
    tensors = [
        {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
        for module in (copy.module, bert.module)
    ]
    assert tensors[0] == tensors[1]


@pytest.mark.parametrize("count", [1, 3])
def test_every_job_is_run_on_a_classifier_of_its_own(bert: Classifier, count: int) -> None:
    used: set[int] = set()

    def job(classifier: Classifier, number: int) -> int:
        assert id(classifier) not in used
        used.add(id(classifier))
        time.sleep(0.001)
        used.remove(id(classifier))
        return number

    with open_replicas(bert, count) as pool:
        made = [pool.submit(partial(job, number=number)) for number in range(20)]
        assert [each.result() for each in made] == [*range(20)]


def test_torchs_threads_are_divided_and_given_back(bert: Classifier) -> None:
    before = torch.get_num_threads()
    with open_replicas(bert, 2) as pool:
        told = pool.submit(lambda _classifier: torch.get_num_threads()).result()
        assert told == torch.get_num_threads() == max(1, before // 2)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("replicas", [1, 2])
def test_an_interrupt_comes_through_and_ends_all_threads(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch, replicas: int
) -> None:
    def failing(*_args: object, **_rest: object) -> Gradients:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(passes, "gradient_passes", failing)
    before = threading.active_count()
    with pytest.raises(Interrupted):
        scored(replace(engine(bert, samples=8), replicas=replicas), TEXTS)
    assert threading.active_count() == before


def test_who_stops_listening_ends_them_all(bert: Classifier) -> None:
    before = threading.active_count()
    rows = [Row(number, number, None, text) for number, text in enumerate(TEXTS)]
    outcomes = explain(rows, replace(engine(bert, samples=8), replicas=2))
    next(outcomes)
    assert threading.active_count() > before
    outcomes.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
