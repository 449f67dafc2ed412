"""Tensors on the meta device: as torch makes them, without its Python code."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from saliency_cli.checkpoints.meta_device import MetaTensors, meta_device

BOUNDS = st.one_of(
    st.tuples(st.integers(0, 50)),
    st.tuples(st.integers(-50, 0), st.integers(0, 50)),
    st.tuples(st.integers(-50, 0), st.integers(0, 50), st.integers(1, 7)),
    st.tuples(st.integers(0, 50), st.integers(-50, 0), st.integers(-7, -1)),
    st.tuples(st.floats(0, 50)),
)
TYPES = st.sampled_from([{}, {"dtype": torch.int32}, {"dtype": torch.float32}])


def described(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.shape, tensor.dtype, tensor.device, tensor.stride(), tensor.requires_grad


@given(bounds=BOUNDS, options=TYPES)
def test_a_range_is_described_as_torch_does(
    bounds: tuple[Any, ...], options: dict[str, Any]
) -> None:
    with torch.device("meta"):
        expected = torch.arange(*bounds, **options)
    with meta_device():
        assert described(torch.arange(*bounds, **options)) == described(expected)


@pytest.mark.parametrize("bounds", [(-1,), (2, 0), (0, 2, -1), (0, 2, 0)])
def test_a_range_that_torch_refuses_is_refused(bounds: tuple[Any, ...]) -> None:
    with meta_device(), pytest.raises(RuntimeError):
        torch.arange(*bounds)


@pytest.mark.parametrize(
    "options", [{}, {"device": "cpu"}, {"dtype": torch.float16}, {"requires_grad": True}]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_an_empty_tensor_is_described_as_torch_does(
    shape: tuple[int, ...], options: dict[str, Any]
) -> None:
    contiguous = torch.empty(shape, device="meta")
    for like in (contiguous, contiguous.T if len(shape) == 2 else contiguous.expand(4, *shape)):
        expected = torch.empty_like(like, **options)
        with MetaTensors():
            assert described(torch.empty_like(like, **options)) == described(expected)


def test_other_devices_have_the_values_of_torch() -> None:
    with meta_device():
        values = torch.arange(3, device="cpu")
        like = torch.empty_like(values, device="cpu")
        weight = nn.init.ones_(torch.empty(2, device="cpu"))
        unchanged = nn.init.ones_(torch.empty(2))
    assert values.tolist() == [0, 1, 2]
    assert (like.shape, like.device.type) == ((3,), "cpu")
    assert weight.tolist() == [1, 1]
    assert unchanged.is_meta
