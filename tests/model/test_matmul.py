"""Who multiplies, and that it is the same product whoever does; how much fits into memory."""

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
    BATCH_TOKENS,
    LEAST_TOKENS,
    bytes_per_token,
    choose_batch_tokens,
    fitting_tokens,
)
from saliency_cli.model.matmul import (
    FEWEST_ROWS,
    choose_matmul_backend,
    pulled_back,
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
def test_onednn_multiplies_where_mkl_leaves_avx512_alone(
    cpu: dict[str, Any], products: str
) -> None:
    assert choose_matmul_backend(CPU, torch.float32, cpu=cpu) == products


def test_only_float32_on_a_cpu_has_a_choice() -> None:
    assert choose_matmul_backend(torch.device("cuda"), torch.float32, cpu=EPYC) == "torch"
    assert choose_matmul_backend(CPU, torch.bfloat16, cpu=EPYC) == "torch"


@needs_onednn
@given(
    rows=st.integers(1, 3 * FEWEST_ROWS),
    inner=st.integers(1, 40),
    outer=st.integers(1, 40),
    biased=st.booleans(),
)
def test_product_and_gradient_are_torchs(
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
def test_rows_that_nothing_was_read_from_are_left_out_and_change_nothing(
    texts: int, length: int, read: set[int]
) -> None:
    generator = torch.Generator().manual_seed(length)
    weight = torch.randn(7, 5, generator=generator)
    pull = torch.zeros(texts, length, 7)
    for place in read & {*range(length)}:
        pull[:, place] = torch.randn(texts, 7, generator=generator)
    torch.testing.assert_close(pulled_back(pull, weight), pull @ weight, rtol=1e-5, atol=1e-5)


@needs_onednn
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_left_out(value: float) -> None:
    pull = torch.zeros(4, 8, 7)
    pull[2, 3, 1] = value
    pulled = pulled_back(pull, torch.ones(7, 5))
    assert not pulled[2, 3].isfinite().any()


@needs_onednn
def test_a_layer_that_is_trained_stays_torchs() -> None:
    layer = nn.Linear(8, 8)
    with use_matmul_backend("onednn"):
        layer(torch.ones(FEWEST_ROWS, 8)).sum().backward()
    assert layer.weight.grad is not None


@needs_onednn
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_scores_are_the_same_whoever_multiplies(request: pytest.FixtureRequest, kind: str) -> None:
    classifier: Classifier = request.getfixturevalue(kind)
    ours, theirs = (
        scored(engine(replace(classifier, matmul_backend=products), samples=8), TEXTS)
        for products in ("onednn", "torch")
    )
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def test_a_batch_that_fits_is_a_power_of_two_and_halves_with_the_memory(bert: Classifier) -> None:
    each = bytes_per_token(bert.module)
    assert [fitting_tokens(bert.module, tokens * each) for tokens in (0, 1, 1000, 2000)] == [
        1,
        1,
        512,
        1024,
    ]


def test_what_a_token_holds_follows_from_the_products_and_the_number_format() -> None:
    module = nn.Sequential(nn.Embedding(1000, 8), nn.Linear(8, 32), nn.Linear(32, 8))
    assert bytes_per_token(module) == 4 * (8 + 32 + 32 + 8)
    assert bytes_per_token(module.to(torch.bfloat16)) == 2 * (8 + 32 + 32 + 8)


@pytest.mark.parametrize(("width", "tokens"), [(8, 1024), (4096, 512), (65536, 256)])
def test_a_large_model_gets_smaller_batches(width: int, tokens: int) -> None:
    assert LEAST_TOKENS <= tokens <= BATCH_TOKENS["cpu"]
    with torch.device("meta"):
        module = nn.Sequential(*(nn.Linear(width, width) for _ in range(20)))
    assert choose_batch_tokens(Compute(), CPU, module) == tokens
    assert choose_batch_tokens(Compute(batch_tokens=77), CPU, module) == 77
