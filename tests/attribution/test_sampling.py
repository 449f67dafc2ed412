"""How many passes a text gets, and whether its errors tell the truth."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.maths import MathsChoice
from saliency_cli.attribution.methods.parameters import FIRST_SAMPLES, MOST_SAMPLES
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.attribution.reduction import (
    PRIOR,
    l2,
    normalised,
    small_sample_factor,
    standard_errors,
)
from saliency_cli.cli.choices import PRESETS, choose_maths
from saliency_cli.errors import UsageError
from saliency_cli.explanations import Attribution, Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Row
from saliency_cli.settings import TargetChoice
from tests.support.attribution import engine
from tests.support.models import TEXTS


def attributions(classifier: Classifier, *texts: str, **maths: Any) -> list[Attribution]:  # noqa: ANN401
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(texts)]
    outcomes = list(explain(rows, engine(classifier, **maths)))
    assert all(isinstance(outcome, Explanation) for outcome in outcomes)
    return [outcome.attribution for outcome in outcomes if isinstance(outcome, Explanation)]


@pytest.mark.parametrize(
    ("maths", "passes", "has_errors"),
    [
        ({"samples": 1}, 1, False),
        ({"samples": 2}, 2, False),
        ({"samples": 4}, 4, True),
        ({"samples": 2, "antithetic": False}, 2, True),
        ({"samples": 10, "antithetic": False}, 10, True),
        ({"samples": 2 * SmoothGrad.most_blocks + 22}, 2 * SmoothGrad.most_blocks + 22, True),
    ],
)
def test_samples_counts_passes(
    bert: Classifier, maths: dict[str, Any], passes: int, has_errors: bool
) -> None:
    for attribution in attributions(bert, *TEXTS, **maths):
        assert attribution.samples == passes
        assert (attribution.errors is not None) == has_errors


@pytest.mark.parametrize("tolerance", [0.005, 0.01, 0.02])
def test_auto_goes_on_until_the_errors_are_small(bert: Classifier, tolerance: float) -> None:
    found = attributions(bert, *TEXTS, noise=0.02, tolerance=tolerance)
    assert {attribution.samples for attribution in found} != {FIRST_SAMPLES}
    for attribution in found:
        assert attribution.errors is not None
        small = max(attribution.errors) <= tolerance * max(attribution.scores)
        assert small == attribution.converged
        assert small or attribution.samples == MOST_SAMPLES


def test_auto_stops_at_the_cap_and_says_so(bert: Classifier) -> None:
    for attribution in attributions(bert, *TEXTS, noise=2.0):
        assert attribution.samples == MOST_SAMPLES
        assert not attribution.converged


def test_auto_adds_draws_to_those_that_were_made(bert: Classifier) -> None:
    automatic = attributions(bert, TEXTS[3], noise=0.02)[0]
    fixed = attributions(bert, TEXTS[3], noise=0.02, samples=automatic.samples)[0]
    assert automatic.scores == pytest.approx(fixed.scores, rel=1e-5)
    assert automatic.errors == pytest.approx(fixed.errors, rel=1e-3)


def test_flips_are_counted_against_the_clean_label(bert: Classifier) -> None:
    calm = attributions(bert, *TEXTS, samples=64, noise=1e-4)
    wild = attributions(bert, *TEXTS, samples=64, noise=5.0)
    assert {attribution.flip_rate for attribution in calm} == {0}
    rates = [attribution.flip_rate for attribution in wild]
    assert any(rate is not None and 0.1 < rate < 0.9 for rate in rates)


def jackknife(draws: Tensor) -> Tensor:
    """Return the errors of `l2` scores of draws [K, L, H]."""
    mean = normalised(l2(draws.mean(dim=0)))
    others = (draws.sum(dim=0) - draws) / (len(draws) - 1)
    return standard_errors(normalised(l2(others)), mean)


def test_the_error_of_a_mean_is_its_standard_error() -> None:
    values = torch.randn(12, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    others = (values.sum(dim=0) - values) / 11
    expected = values.std(dim=0) / 12**0.5 * small_sample_factor(11 + PRIOR)
    torch.testing.assert_close(standard_errors(others, values.mean(dim=0)), expected)


def test_a_tokens_error_leans_on_those_of_the_others_the_less_the_more_draws_there_are() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([0.01, 0.01, 0.5])
    leaning = []
    for count in (2, 8, 64):
        values = 1 + spread * torch.randn(count, 3, generator=generator, dtype=torch.float64)
        others = (values.sum(dim=0) - values) / (count - 1)
        errors = standard_errors(others, values.mean(dim=0))
        leaning.append(float(errors[0] / errors[2]))
    assert leaning == sorted(leaning, reverse=True)
    assert leaning[0] > 0.5
    assert leaning[-1] < 0.3


def test_errors_of_scores_that_are_all_zero_are_zero() -> None:
    assert torch.equal(standard_errors(torch.zeros(3, 4), torch.zeros(4)), torch.zeros(4))


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 1.8373), (2, 1.3213), (3, 1.1969), (7, 1.0767), (31, 1.0163)]
)
def test_the_small_sample_factor_is_students(freedom: int, quantile: float) -> None:
    assert small_sample_factor(freedom) == pytest.approx(quantile, rel=0.015)


@pytest.mark.parametrize("count", [2, 4, 8, 32])
def test_errors_cover_the_truth_as_often_as_they_should(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    truth = torch.rand(6, 8, generator=generator) + 0.5
    expected = normalised(l2(truth))
    within = total = 0
    for _ in range(300):
        draws = truth + 0.05 * torch.randn(count, 6, 8, generator=generator)
        off = (normalised(l2(draws.mean(dim=0))) - expected).abs()
        within += int((off <= jackknife(draws)).sum())
        total += len(off)
    assert 0.62 < within / total < 0.75  # 68 % of a normal distribution lies within one σ


def test_blocks_of_draws_give_the_errors_of_single_draws(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = attributions(bert, TEXTS[3], samples=64, noise=0.05)[0]
    monkeypatch.setattr(SmoothGrad, "most_blocks", 12)
    blocks = attributions(bert, TEXTS[3], samples=64, noise=0.05)[0]
    assert blocks.scores == pytest.approx(single.scores, rel=1e-5)
    assert single.errors is not None
    assert blocks.errors is not None
    assert sum(blocks.errors) == pytest.approx(sum(single.errors), rel=0.3)


@pytest.mark.parametrize("samples", [3, 5, 63])
def test_pairs_come_in_even_numbers(samples: int) -> None:
    with pytest.raises(UsageError, match="odd"):
        SmoothGrad(samples=samples)
    method = SmoothGrad(samples=samples, antithetic=False)
    assert method.total_draws(0, converged=False) == samples


def test_a_preset_is_all_or_nothing() -> None:
    choice, target = MathsChoice(preset="allennlp"), TargetChoice()
    preset = PRESETS["allennlp"].maths
    seeded = replace(preset, method=replace(preset.method, seed=7))  # type: ignore[type-var]
    checked = partial(replace, check_words=choice.check_words)  # which no preset fixes
    assert choose_maths(choice, target, {"seed": 7, "noise": None}) == checked(seeded)
    assert choose_maths(choice, target, {}) == checked(preset)
    with pytest.raises(UsageError, match="--noise"):
        choose_maths(choice, target, {"noise": 0.0})
    with pytest.raises(UsageError, match="--reduction"):
        choose_maths(MathsChoice(preset="allennlp", reduction="l2"), target, {})
    with pytest.raises(UsageError, match="--method"):
        choose_maths(MathsChoice(preset="allennlp", method="gradient"), target, {})
