"""McNemar's test, the bootstrap in one pass, and the words that gained and lost."""

from math import comb, sqrt

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.comparison.distance import WordMove
from saliency_cli.comparison.paired_means import BLOCK, PairedMeans
from saliency_cli.comparison.word_changes import FEWEST_TEXTS, WordChangeCounts
from saliency_cli.figures.chance import mcnemar_exact, normal_p_value


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_equals_the_binomial_sum(broken: int, fixed: int) -> None:
    total, fewest = broken + fixed, min(broken, fixed)
    exact = min(1.0, 2 * sum(comb(total, k) for k in range(fewest + 1)) / 2**total)
    assert mcnemar_exact(broken, fixed) == pytest.approx(exact, rel=1e-9)


def test_p_values_of_a_normal_distribution() -> None:
    assert normal_p_value(1.959964, 1.0) == pytest.approx(0.05, rel=1e-5)
    assert [normal_p_value(0, 0), normal_p_value(0.1, 0)] == [1.0, 0.0]


@pytest.mark.parametrize("rows", [50, BLOCK + 100])
def test_the_bootstrap_gives_the_error_of_a_mean(rows: int) -> None:
    values = torch.randn(rows, generator=torch.Generator().manual_seed(1)).tolist()
    means: PairedMeans[str] = PairedMeans()
    for number, value in enumerate(values):
        means.add(value, ("all", "even") if number % 2 == 0 else ("all",))
    found = means.results()
    for name, own in (("all", values), ("even", values[::2])):
        mean, error = sum(own) / len(own), float(torch.tensor(own).std()) / sqrt(len(own))
        assert found[name].rows == len(own)
        assert found[name].mean == pytest.approx(mean, abs=1e-6)
        assert found[name].error == pytest.approx(error, rel=0.2)
        low, high = found[name].interval
        assert low < mean < high
        assert high - low == pytest.approx(2 * 1.96 * error, rel=0.3)


def test_blocks_do_not_change_the_interval() -> None:
    """The results may be read between two rows: what was added before is then drawn already."""
    values = [float(number % 7) for number in range(BLOCK)]
    means: list[PairedMeans[str]] = [PairedMeans(), PairedMeans()]
    for each in means:
        for value in values:
            each.add(value, ("all",))
    assert means[0].results() == means[1].results()


def test_words_are_listed_beyond_their_errors_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    counts = WordChangeCounts()
    noise = torch.randn(400, 20, generator=generator) * 0.05
    for text in range(400):
        moves = [
            WordMove(f"w{word}", 0.1, 0.1 + float(noise[text, word]), 0.05) for word in range(20)
        ]
        planted = [
            WordMove("gains", 0.05, 0.25 + float(noise[text, 0]), 0.05),
            WordMove("loses", 0.3, 0.2 + float(noise[text, 1]), 0.05),
        ]
        rare = [WordMove("rare", 0.0, 1.0, 0.0)] * (text < FEWEST_TEXTS - 1)
        counts.add([*moves, *planted, *rare])
    found = counts.result()
    assert [each["word"] for each in found["gained"]] == ["gains"]
    assert [each["word"] for each in found["lost"]] == ["loses"]
    assert found["gained"][0]["texts"] == 400
    assert found["gained"][0]["change"] == pytest.approx(0.2, abs=0.02)
    assert found["gained"][0]["se"] == pytest.approx(0.05 / 20, rel=0.2)
