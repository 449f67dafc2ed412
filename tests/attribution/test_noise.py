"""The keyed noise: standard normal, independent, a function of seed, token ids and draw alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from saliency_cli.attribution.noise import keyed_normal, mixed, text_keys
from saliency_cli.model.token_batch import TokenBatch

WIDTH = 32
ids = st.lists(st.integers(0, 30_000), min_size=1, max_size=12)


def batch_of(*texts: list[int]) -> TokenBatch:
    rows = [torch.tensor(text) for text in texts]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return TokenBatch(padded, torch.zeros_like(padded), torch.tensor([*map(len, rows)]), 0)


def noise(texts: list[list[int]], draws: list[int], *, seed: int = 0, width: int = WIDTH) -> Tensor:
    return keyed_normal(batch_of(*texts), torch.tensor(draws), seed=seed, width=width)


@given(texts=st.lists(ids, min_size=1, max_size=5), seed=st.integers(0, 2**40))
def test_neighbours_and_padding_change_no_bit(texts: list[list[int]], seed: int) -> None:
    together = noise(texts, [3] * len(texts), seed=seed)
    for row, text in zip(together, texts, strict=True):
        assert torch.equal(row[: len(text)], noise([text], [3], seed=seed)[0])


@given(text=ids, seed=st.integers(0, 1000), draw=st.integers(0, 1000))
def test_seed_draw_ids_and_their_order_are_the_key(text: list[int], seed: int, draw: int) -> None:
    first = noise([text], [draw], seed=seed)
    others = [
        noise([text], [draw + 1], seed=seed),
        noise([text], [draw], seed=seed + 1),
        noise([[text[0] + 1, *text[1:]]], [draw], seed=seed),
    ]
    if text != text[::-1]:
        others.append(noise([text[::-1]], [draw], seed=seed))
    assert not any(torch.equal(first, other) for other in others)
    longer = noise([[*text, 0]], [draw], seed=seed)
    assert not torch.equal(first, longer[:, : len(text)])


def test_keys_of_many_texts_differ() -> None:
    """200,000 texts of two tokens each, many of them permutations: 64 bits, so none collide."""
    pairs = torch.cartesian_prod(torch.arange(450), torch.arange(450))
    batch = TokenBatch(pairs, torch.zeros_like(pairs), torch.full((len(pairs),), 2), 0)
    assert len({*text_keys(batch, seed=0).tolist()}) == len(pairs)


def test_the_hash_is_splitmix64() -> None:
    """The first numbers of SplitMix64 from state 0, as its authors' reference program prints."""
    state = 0x9E3779B97F4A7C15
    expected = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F)
    for number, value in enumerate(expected):
        counter = (number * state) % 2**64
        signed = counter - 2**64 if counter >= 2**63 else counter
        assert int(mixed(torch.tensor(signed))) % 2**64 == value


@pytest.mark.parametrize("width", [1, 7, WIDTH])
def test_the_numbers_are_standard_normal(width: int) -> None:
    draws = [*range(40_000 // width)]
    values = noise([[5, 6, 7, 8]] * len(draws), draws, width=width).flatten().double()
    error = len(values) ** -0.5
    # The distance of Kolmogorov and Smirnov; it is larger in 1 of 1,000 samples.
    below = torch.special.ndtr(values.sort().values)
    assert (
        float((below - (torch.arange(len(values)) + 0.5) / len(values)).abs().max()) < 1.95 * error
    )
    assert abs(float(values.mean())) < 4 * error
    assert float(values.var()) == pytest.approx(1, abs=6 * error)
    assert float((values**4).mean()) == pytest.approx(3, abs=40 * error)
    assert values.isfinite().all()


@pytest.mark.parametrize("what", ["draws", "tokens", "dimensions", "seeds", "pairs of dimensions"])
def test_numbers_are_independent(what: str) -> None:
    """Neighbouring numbers correlate as little as chance allows, as values and as squares."""
    values = noise([[3, 4, 5, 6]] * 3000, [*range(3000)]).double()
    other = noise([[3, 4, 5, 6]] * 3000, [*range(3000)], seed=1).double()
    pairs = {
        "draws": (values[:-1], values[1:]),
        "tokens": (values[:, :-1], values[:, 1:]),
        "dimensions": (values[..., :-1], values[..., 1:]),
        "seeds": (values, other),
        "pairs of dimensions": (values[..., : WIDTH // 2], values[..., WIDTH // 2 :]),
    }
    first, second = (each.flatten() for each in pairs[what])
    bound = 4.5 / len(first) ** 0.5
    for power in (1, 2):
        found = torch.corrcoef(torch.stack((first**power, second**power)))[0, 1]
        assert abs(float(found)) < bound, power


def test_the_same_numbers_on_every_device(device: str) -> None:
    here = batch_of([3, 4, 5, 6], [7, 8])
    there = TokenBatch(here.ids.to(device), here.type_ids.to(device), here.lengths, 0)
    draws = torch.tensor([0, 1])
    ours = keyed_normal(there, draws, seed=0, width=WIDTH).cpu()
    torch.testing.assert_close(ours, keyed_normal(here, draws, seed=0, width=WIDTH))
