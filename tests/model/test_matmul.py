"""Both matmul backends give the same products; batches are sized by an estimate of memory."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import linear

from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import (
    MAX_BATCH_TOKENS,
    MIN_BATCH_TOKENS,
    bytes_per_token,
    choose_batch_tokens,
    tokens_in_memory,
)
from saliency_cli.model.matmul import (
    MIN_ONEDNN_ROWS,
    choose_matmul_backend,
    input_gradient,
    use_matmul_backend,
)
from saliency_cli.settings import Compute
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS

CPU = torch.device("cpu")
EPYC = {"cpu_name": "AMD EPYC", "avx512_f": True}

needs_onednn = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    reason="this torch was built without oneDNN",
)


@pytest.mark.parametrize(
    ("cpu", "matmul_backend"),
    [
        (EPYC, "onednn"),
        ({"cpu_name": "AMD EPYC", "avx512_f": False}, "torch"),
        ({"cpu_name": "Intel(R) Xeon(R) Platinum", "avx512_f": True}, "torch"),
        ({"avx512_f": True}, "torch"),
        ({}, "torch"),
    ],
)
@needs_onednn
def test_onednn_is_chosen_where_mkl_does_not_use_avx512(
    cpu: dict[str, Any], matmul_backend: str
) -> None:
    assert choose_matmul_backend(CPU, torch.float32, cpu=cpu) == matmul_backend


def test_onednn_is_chosen_only_for_float32_on_a_cpu() -> None:
    assert choose_matmul_backend(torch.device("cuda"), torch.float32, cpu=EPYC) == "torch"
    assert choose_matmul_backend(CPU, torch.bfloat16, cpu=EPYC) == "torch"


@needs_onednn
@given(
    rows=st.integers(1, 3 * MIN_ONEDNN_ROWS),
    inner=st.integers(1, 40),
    outer=st.integers(1, 40),
    biased=st.booleans(),
)
def test_onednn_gives_the_product_and_gradient_of_torch(
    rows: int, inner: int, outer: int, *, biased: bool
) -> None:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(2, rows, inner, generator=generator)
    weight = torch.randn(outer, inner, generator=generator)
    bias = torch.randn(outer, generator=generator) if biased else None
    pull = torch.randn(2, rows, outer, generator=generator)

    def run() -> tuple[Tensor, Tensor]:
        leaf = x.clone().requires_grad_()
        product = linear(leaf, weight, bias)
        return product.detach(), torch.autograd.grad(product, leaf, pull)[0]

    expected = run()
    with use_matmul_backend("onednn"):
        found = run()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@needs_onednn
@given(
    texts=st.integers(1, 12),
    length=st.integers(1, 24),
    read=st.sets(st.integers(0, 23), max_size=4),
)
def test_skipping_zero_rows_does_not_change_the_gradient(
    texts: int, length: int, read: set[int]
) -> None:
    generator = torch.Generator().manual_seed(length)
    weight = torch.randn(7, 5, generator=generator)
    pull = torch.zeros(texts, length, 7)
    for position in read & {*range(length)}:
        pull[:, position] = torch.randn(texts, 7, generator=generator)
    torch.testing.assert_close(input_gradient(pull, weight), pull @ weight, rtol=1e-5, atol=1e-5)


@needs_onednn
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rows_that_are_not_finite_are_not_skipped(value: float) -> None:
    pull = torch.zeros(4, 8, 7)
    pull[2, 3, 1] = value
    pulled = input_gradient(pull, torch.ones(7, 5))
    assert not pulled[2, 3].isfinite().any()


@needs_onednn
def test_a_layer_with_trainable_weights_is_left_to_torch() -> None:
    layer = nn.Linear(8, 8)
    with use_matmul_backend("onednn"):
        layer(torch.ones(MIN_ONEDNN_ROWS, 8)).sum().backward()
    assert layer.weight.grad is not None


@needs_onednn
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_scores_are_the_same_with_both_backends(request: pytest.FixtureRequest, kind: str) -> None:
    classifier: Classifier = request.getfixturevalue(kind)
    ours, theirs = (
        scored(engine(replace(classifier, matmul_backend=backend), samples=8), TEXTS)
        for backend in ("onednn", "torch")
    )
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def test_the_tokens_in_memory_are_a_power_of_two(bert: Classifier) -> None:
    size = bytes_per_token(bert.module)
    assert [tokens_in_memory(bert.module, tokens * size) for tokens in (0, 1, 1000, 2000)] == [
        1,
        1,
        512,
        1024,
    ]


def test_bytes_per_token_follow_from_the_weights_and_the_dtype() -> None:
    module = nn.Sequential(nn.Embedding(1000, 8), nn.Linear(8, 32), nn.Linear(32, 8))
    assert bytes_per_token(module) == 4 * (8 + 32 + 32 + 8)
    assert bytes_per_token(module.to(torch.bfloat16)) == 2 * (8 + 32 + 32 + 8)


@pytest.mark.parametrize(("width", "tokens"), [(8, 1024), (4096, 512), (65536, 256)])
def test_a_large_model_gets_smaller_batches(width: int, tokens: int) -> None:
    assert MIN_BATCH_TOKENS <= tokens <= MAX_BATCH_TOKENS["cpu"]
    with torch.device("meta"):
        module = nn.Sequential(*(nn.Linear(width, width) for _ in range(20)))
    assert choose_batch_tokens(Compute(), CPU, module) == tokens
    assert choose_batch_tokens(Compute(batch_tokens=77), CPU, module) == 77
