"""Erasure on a model whose best order is known, and against a transcription of ERASER's scorer."""

import random
from collections.abc import Iterator, Sequence
from itertools import permutations
from statistics import fmean
from typing import Any

import pytest
import torch

from saliency_cli.evaluation.bootstrap import mean_figure
from saliency_cli.evaluation.metrics import METRICS
from saliency_cli.evaluation.metrics.erasure import SHARES, counts_of, erased_logits, falls
from saliency_cli.evaluation.subject import Subject
from saliency_cli.model.classifier import Classifier
from tests.support.evaluations import (
    Bag,
    bag_subject,
    bag_texts,
    subject_of,
    with_scores,
    write_bag,
)
from tests.support.models import WORDS

ERASURE = ("comprehensiveness", "sufficiency")


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Bag:
    return write_bag(tmp_path_factory.mktemp("bag"))


@pytest.fixture(scope="module")
def subject(bag: Bag) -> Iterator[Subject]:
    with bag_subject(bag, bag_texts(60)) as made:
        yield made


def measured(subject: Subject, metric: str, name: str = "gradient") -> dict[str, Any]:
    """Return the summary of a method."""
    reference = METRICS[metric].reference(subject)
    values = METRICS[metric].measure(subject, name, reference)
    return METRICS[metric].summarise(values, reference)


def shuffled(scores: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return scores in an order that has nothing to do with the texts."""
    chosen = random.Random(0)  # noqa: S311 - no secret
    return [chosen.sample([*each], len(each)) for each in scores]


@pytest.mark.parametrize("metric", ERASURE)
def test_the_exact_order_is_the_best(subject: Subject, metric: str) -> None:
    exact = measured(subject, metric)
    assert exact["mean"] == pytest.approx(1, abs=0.01)
    for targets in exact["by"].values():
        assert targets["probability"]["mean"] == pytest.approx(1, abs=0.01)
        assert targets["logit"]["mean"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("metric", ERASURE)
def test_broken_scores_come_out_last(subject: Subject, metric: str) -> None:
    exact = subject.scores["gradient"]
    wrong_label = [[-score for score in scores] for scores in exact]
    broken = {"random": shuffled(exact), "gradient": wrong_label}
    changed = with_scores(subject, broken)
    random_order, against = (measured(changed, metric, name) for name in broken)
    assert abs(random_order["mean"]) < 2 * random_order["se"]
    assert against["mean"] < random_order["mean"] - 2 * random_order["se"]


def test_the_falls_are_those_of_eraser(subject: Subject) -> None:
    """Transcribed from `compute_aopc_scores` of the benchmark's rationale_benchmark/metrics.py."""
    words = METRICS["comprehensiveness"].measure(subject, "gradient", {})["delete"]["probability"]
    dataset_scores = []
    for text, scores in enumerate(subject.scores["gradient"]):
        own = sorted((score for score in scores if score != 0), reverse=True)
        beta_0 = probability_of(own)
        instance_scores = []
        for threshold in SHARES:
            beta_k = probability_of(own[-(-len(own) * threshold // 100) :])
            instance_scores.append(beta_0 - beta_k)
        dataset_scores.append(instance_scores)
        assert words[text] == pytest.approx(instance_scores, abs=1e-5)
    final_score = torch.tensor(dataset_scores).mean()
    summary = measured(subject, "comprehensiveness")["by"]["delete"]["probability"]
    assert summary["fall"]["mean"] == pytest.approx(float(final_score), abs=1e-5)


def probability_of(weights: Sequence[float]) -> float:
    """Return the probability of the label that words of these weights speak for."""
    return float(torch.tensor([sum(weights), -sum(weights)]).softmax(0)[0])


def test_the_best_order_is_the_upper_limit_of_all_orders(bert: Classifier) -> None:
    """Edin et al. 2024 find the limits of short texts by all orders, as is done by hand here."""
    texts = [" ".join(WORDS[word : word + 5]) for word in range(0, len(WORDS) - 5, 5)]
    with subject_of(bert, texts, "gradient") as made:
        reference = METRICS["comprehensiveness"].reference(made)
        for text, row in enumerate(made.passes.removable):
            places = row.nonzero()[:, 0].tolist()
            orders = [*permutations(range(len(places)))]
            ranks = torch.full((len(orders), len(row)), len(row))
            ranks[:, places] = torch.tensor(orders)
            numbers = torch.full((len(orders),), text)
            logits = erased_logits(made, numbers, ranks, by="mask", keep=False)
            exact = falls(made, numbers, logits)["probability"].mean(dim=1)
            best, random = (
                fmean(reference[name]["mask"]["probability"][text]) for name in ("best", "random")
            )
            assert float(exact.min()) - 1e-6 <= random <= float(exact.max()) + 1e-6
            assert best == pytest.approx(float(exact.max()), abs=1e-6)


def test_the_size_of_a_batch_changes_nothing(bag: Bag) -> None:
    found = []
    for tokens in (32, 4096):
        with bag_subject(bag, bag_texts(20), tokens=tokens) as subject:
            values = METRICS["comprehensiveness"].measure(subject, "gradient", {})
            found.append(torch.tensor(values["mask"]["logit"]))
    assert found[0].allclose(found[1], atol=1e-5)


def test_shares_are_rounded_up_to_whole_tokens() -> None:
    assert counts_of(torch.tensor([1, 10, 30])).tolist() == [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 2, 5],
        [1, 2, 3, 6, 15],
    ]


def test_the_bootstrap_is_close_to_the_standard_error_of_a_mean() -> None:
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)).tolist()
    found = mean_figure(values)
    assert found["se"] == pytest.approx(0.05, rel=0.1)
    assert found == mean_figure(values)
