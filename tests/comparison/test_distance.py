"""The distance of two explanations: a total variation over words, and what errors give alone."""

from math import isclose

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.word_shares import word_shares
from saliency_cli.analysis.words import word_tokens, words
from saliency_cli.comparison.distance import common_target, distance_between
from saliency_cli.records import Record
from tests.support.runs import pair_record, record

SHARES = st.lists(st.floats(-1, 1), min_size=6, max_size=6)
TEXT = "home is where the heart is"


def scored(shares: list[float], *, error: float = 0.0) -> Record:
    """Return a record whose words have these shares, normalised, and one error each."""
    total = sum(map(abs, shares)) or 1.0
    scores = [0.0, *(share / total for share in shares)]
    return record(0, TEXT, scores=scores, errors=[error] * len(scores))


@given(SHARES, SHARES)
def test_it_is_half_the_sum_of_all_differences_between_0_and_1(
    one: list[float], other: list[float]
) -> None:
    before, after = scored(one), scored(other)
    old, new = (word_shares(words(each)) for each in (before, after))
    expected = sum(abs(old[word] - new[word]) for word in old) / 2
    distance = distance_between(before, after)
    assert isclose(distance.value, expected, abs_tol=1e-12)
    assert 0 <= distance.value <= 1 + 1e-9
    assert isclose(distance.value, distance_between(after, before).value, abs_tol=1e-12)
    assert distance_between(before, before).value == 0


@given(SHARES, st.integers(1, 3))
def test_another_tokenizer_changes_nothing(shares: list[float], cut: int) -> None:
    whole = scored(shares, error=0.01)
    divided: Record = {name: [] for name in ("tokens", "offsets", "special", "scores", "errors")}
    for token, (start, end), special, score, error in zip(
        *(whole[name] for name in divided), strict=True
    ):
        middle = min(start + cut, end)
        spans = [(start, middle), (middle, end)] if middle < end else [(start, end)]
        for first, last in spans:
            values = (token, [first, last], special, score / len(spans), error / len(spans))
            for name, value in zip(divided, values, strict=True):
                divided[name].append(value)
    distance = distance_between(whole, {**whole, **divided})
    assert distance.value < 1e-12
    assert not distance.moved


def test_the_tokens_of_words_add_up_to_the_words() -> None:
    for each in (scored([1, 2, 3, 4, 5, 6]), pair_record(0)):
        shares: dict[str, float] = {}
        for word, tokens in word_tokens(each):
            shares[word] = shares.get(word, 0.0) + sum(each["scores"][token] for token in tokens)
        assert shares == word_shares(words(each))


def test_errors_alone_give_the_expected_mean_and_deviation() -> None:
    """Two estimates of the same shares, drawn 4,000 times, as two seeds would give them."""
    generator = torch.Generator().manual_seed(0)
    shares, error = torch.tensor([0.3, -0.2, 0.2, 0.1, 0.2]), 0.02
    text = "home is where my heart"

    def drawn() -> Record:
        noisy = shares + error * torch.randn(5, generator=generator)
        return record(0, text, scores=[0.0, *noisy.tolist()], errors=[0.0, *[error] * 5])

    distances = [distance_between(drawn(), drawn()) for _ in range(4_000)]
    values = torch.tensor([each.value for each in distances])
    assert abs(float(values.mean()) / distances[0].expected - 1) < 0.02
    assert abs(float(values.std()) / distances[0].deviation - 1) < 0.05
    assert sum(each.moved for each in distances) <= 4  # 4 deviations, of a skewed distribution


@pytest.mark.parametrize(("change", "moved"), [(0.004, False), (0.02, True)])
def test_without_errors_a_visible_change_counts(*, change: float, moved: bool) -> None:
    before = record(0, "a b", scores=[0.0, 0.5, 0.5], errors=None)
    after = record(0, "a b", scores=[0.0, 0.5 + change, 0.5 - change], errors=None)
    assert distance_between(before, after).moved is moved


def test_rows_are_compared_for_a_target_that_both_explain() -> None:
    other = {"target": "ham", "scores": [0, 0, 1.0], "errors": None}
    before = record(0, "a b", others=[other])
    after = record(0, "a b", predicted="ham", scores=[0, 1.0, 0])
    found = common_target(before, after)
    assert found is not None
    assert [each["scores"] for each in found] == [[0, 0, 1.0], [0, 1.0, 0]]
    assert common_target(record(0, "a b"), after) is None
