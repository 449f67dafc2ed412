"""Texts side by side: the same scores, and an end to all threads whatever happens."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
import torch

from saliency_cli.classifier import Classifier
from saliency_cli.explain import explain
from saliency_cli.records import Explanation, Row
from saliency_cli.streams import merged, replica, threads

from .conftest import TEXTS, engine, scored


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("samples", [8, None])
def test_streams_change_nothing(
    request: pytest.FixtureRequest, kind: str, samples: int | None
) -> None:
    run = engine(request.getfixturevalue(kind), samples=samples)
    alone = scored(run, TEXTS)
    for one, other in zip(scored(replace(run, streams=2), TEXTS), alone, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def test_the_same_bytes_twice(sample: Classifier) -> None:
    rows = [Row(number, number, None, text) for number, text in enumerate(TEXTS * 8)]
    run = replace(engine(sample, tokens=100), streams=2)

    def records() -> list[object]:
        return [found.record() for found in explain(rows, run) if isinstance(found, Explanation)]

    first = records()
    assert len(first) == len(rows)
    assert first == records()


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


def test_all_that_comes_is_passed_on() -> None:
    with threads(3) as pool:
        found = list(merged([range(5), range(5, 9), range(0)], pool))
    assert sorted(found) == list(range(9))
    assert [number for number in found if number < 5] == list(range(5))


def test_torchs_threads_are_divided() -> None:
    def told() -> Iterator[int]:
        yield torch.get_num_threads()

    with threads(2) as pool:
        assert list(merged([told(), told()], pool)) == [max(1, torch.get_num_threads() // 2)] * 2


def test_an_error_comes_through_and_ends_the_others() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise LookupError("here")

    before = threading.active_count()
    with pytest.raises(LookupError, match="here"), threads(2) as pool:
        for _ in merged([failing(), count()], pool):
            pass
    assert threading.active_count() == before


def test_who_stops_listening_ends_them_all() -> None:
    before = threading.active_count()
    with threads(2) as pool:
        endless = merged([count(), count()], pool)
        next(endless)
        endless.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
