"""How logits are read for each head, and which targets are explained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.checkpoints import load
from saliency_cli.cli.choices import PRESETS
from saliency_cli.errors import CheckpointError, UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import (
    Target,
    Targets,
    check_targets,
    choose_targets,
    predict,
)
from saliency_cli.records import BadRow, Record, Row
from saliency_cli.settings import Compute, ModelChoice, TargetChoice
from tests.support.attribution import engine
from tests.support.models import TEXTS, save_bert

LABELS = ("red", "green", "blue")
CPU = Compute(device="cpu")


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return load(ModelChoice(save_bert(tmp_path_factory.mktemp("one"), labels=LABELS)), CPU)


@pytest.fixture(scope="session")
def tags(colours: Classifier) -> Classifier:
    """Return the same model with a multi-label head."""
    return replace(colours, head="multi-label")


@pytest.fixture(scope="session")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return load(ModelChoice(save_bert(tmp_path_factory.mktemp("stars"), labels=("stars",))), CPU)


def record(classifier: Classifier, text: str, *, gold: str | None = None, **maths: Any) -> Record:  # noqa: ANN401
    row = Row(0, 1, None, text, gold)
    (outcome,) = explain([row], engine(classifier, **{"samples": 4, **maths}))
    assert isinstance(outcome, Explanation), outcome
    return outcome.record()


def gradient(classifier: Classifier, text: str, weights: Tensor) -> Tensor:
    """Return the l2 scores without noise of F = logits · weights, computed with `inputs_embeds`."""
    inputs = dict(classifier.tokenizer(text, return_tensors="pt"))
    leaf = classifier.embedding(inputs.pop("input_ids")).detach().requires_grad_()
    logits = classifier.module(inputs_embeds=leaf, **inputs).logits[0]
    (found,) = torch.autograd.grad(logits @ weights, leaf)
    norms: Tensor = found[0].norm(dim=-1)
    return norms / norms.sum()


def one_hot(index: int, against: int | None = None) -> Tensor:
    row = torch.zeros(len(LABELS))
    row[index] = 1
    if against is not None:
        row[against] = -1
    return row


def close(scores: list[float], expected: Tensor) -> bool:
    return torch.allclose(torch.tensor(scores), expected, rtol=1e-4, atol=1e-6)


# Heads.


@pytest.mark.parametrize(
    ("problem", "labels", "head"),
    [
        (None, LABELS, "single-label"),
        ("single_label_classification", LABELS, "single-label"),
        ("multi_label_classification", LABELS, "multi-label"),
        ("multi_label_classification", ("toxic",), "multi-label"),
        ("regression", ("stars",), "regression"),
        (None, ("stars",), "regression"),
    ],
)
def test_the_head_is_read_as_transformers_loss_reads_it(
    tmp_path: Path, problem: str | None, labels: tuple[str, ...], head: str
) -> None:
    folder = save_bert(tmp_path, labels=labels, problem=problem)
    assert load(ModelChoice(folder), CPU).head == head
    assert load(ModelChoice(folder, multi_label=True), CPU).head == "multi-label"


def test_a_regression_of_several_numbers_is_refused(tmp_path: Path) -> None:
    folder = save_bert(tmp_path, labels=LABELS, problem="regression")
    with pytest.raises(CheckpointError, match="3 outputs"):
        load(ModelChoice(folder), CPU)


@given(st.lists(st.floats(-20, 20), min_size=2, max_size=6))
def test_the_largest_logit_is_predicted(values: list[float]) -> None:
    logits = torch.tensor([values])
    labels = tuple(map(str, range(len(values))))
    (single,) = predict(logits, labels=labels, head="single-label")
    (several,) = predict(logits, labels=labels, head="multi-label")
    assert single.predicted == several.predicted == int(logits.argmax())
    assert sum(single.probabilities) == pytest.approx(1)
    assert several.probabilities == pytest.approx(torch.sigmoid(logits[0]).tolist(), abs=1e-6)


def test_a_regression_is_a_value_without_probability(stars: Classifier) -> None:
    for text in TEXTS:
        explained = record(stars, text, gold="4", reduction="dot")
        raw = stars.module(**stars.tokenizer(text, return_tensors="pt")).logits
        assert explained["value"] == pytest.approx(float(raw), rel=1e-5)
        assert (explained["predicted"], explained["probability"], explained["probabilities"]) == (
            None,
            None,
            {},
        )
        assert (explained["target"], explained["gold"], explained["flip_rate"]) == ("stars", "4", 0)


# Targets.


def test_the_target_is_the_predicted_label_or_another(colours: Classifier) -> None:
    for text in TEXTS:
        explained = record(colours, text, noise=0.0)
        index = LABELS.index(explained["predicted"])
        assert explained["target"] == explained["predicted"]
        assert "others" not in explained
        assert close(explained["scores"], gradient(colours, text, one_hot(index)))
        blue = record(colours, text, noise=0.0, target=TargetChoice("blue"))
        assert (blue["target"], blue["predicted"]) == ("blue", explained["predicted"])
        assert close(blue["scores"], gradient(colours, text, one_hot(2)))
        assert record(colours, text, noise=0.0, target=TargetChoice("2")) == blue


def test_the_gold_label_can_be_explained(colours: Classifier) -> None:
    gold = TargetChoice("gold")
    assert record(colours, TEXTS[0], gold="1", target=gold)["target"] == "green"
    for unknown in (None, "yellow", "3"):
        row = Row(0, 1, None, TEXTS[0], unknown)
        (outcome,) = explain([row], engine(colours, samples=2, target=gold))
        assert isinstance(outcome, BadRow)
        assert "gold" in outcome.reason


def test_all_targets_have_the_scores_of_each_alone(colours: Classifier) -> None:
    for text in TEXTS:
        explained = record(colours, text, target=TargetChoice("all"))
        found = [explained, *explained["others"]]
        assert [each["target"] for each in found] == sorted(
            LABELS, key=lambda label: -explained["probabilities"][label]
        )
        for each in found:
            alone = record(colours, text, target=TargetChoice(each["target"]))
            assert each["scores"] == pytest.approx(alone["scores"], abs=1e-5)
            names = ("errors", "samples", "flip_rate", "special_share")
            assert all(name in each for name in names)


def test_a_contrast_explains_the_difference(colours: Classifier) -> None:
    for text in TEXTS:
        choice = TargetChoice("red", contrast="green")
        explained = record(colours, text, noise=0.0, target=choice)
        assert explained["target"] == "red - green"
        assert close(explained["scores"], gradient(colours, text, one_hot(0, 1)))


def test_a_label_in_contrast_to_itself_is_compared_with_the_strongest_other(
    colours: Classifier,
) -> None:
    explained = record(colours, TEXTS[0], target=TargetChoice("red", contrast="red"))
    others = {label: explained["probabilities"][label] for label in ("green", "blue")}
    assert explained["target"] == f"red - {max(others, key=others.__getitem__)}"


@pytest.mark.parametrize("threshold", [0.01, 0.3, 0.5, 0.7, 0.99])
def test_every_label_above_the_threshold_is_explained(tags: Classifier, threshold: float) -> None:
    for text in TEXTS:
        explained = record(tags, text, target=TargetChoice(threshold=threshold))
        found = [explained["target"], *(other["target"] for other in explained.get("others", ()))]
        shares = explained["probabilities"]
        above = {label for label in LABELS if shares[label] >= threshold}
        assert set(found) == (above or {explained["predicted"]})
        assert found == sorted(found, key=lambda label: -shares[label])
        assert explained["predicted"] == found[0]


def test_decisions_compare_the_largest_logit_or_the_cut() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.5, 1.0], [3.0, 9.0]])
    largest = [Target("a", 0)] * 3
    assert Targets.of(largest).decisions(logits).tolist() == [0, 1, 1]
    above = [Target("a", 0, cut=1.0)] * 3
    assert Targets.of(above).decisions(logits).tolist() == [1, 0, 1]


def test_weights_select_the_logits_of_each_pass() -> None:
    rows = Targets.of([Target("a", 0), Target("b - a", 1, 0)]).weights(labels=3)
    assert rows.tolist() == [[1, 0, 0], [-1, 1, 0]]


def test_the_default_target_is_the_predicted_label() -> None:
    (prediction,) = predict(torch.tensor([[0.0, 2.0, 1.0]]), labels=LABELS, head="single-label")
    (target,) = choose_targets(prediction, None, choice=TargetChoice(), head="single-label")
    assert (target.name, target.plus, target.minus) == ("green", 1, None)


@pytest.mark.parametrize(
    ("maths", "head", "message"),
    [
        (Maths(target=TargetChoice("yellow")), "single-label", "--target yellow"),
        (Maths(target=TargetChoice(contrast="yellow")), "single-label", "--contrast yellow"),
        (Maths(target=TargetChoice("gold")), "regression", "one output"),
        (Maths(target=TargetChoice(contrast="red")), "regression", "one output"),
        (PRESETS["allennlp"].maths, "multi-label", "--objective loss"),
        (PRESETS["allennlp"].maths, "regression", "--objective loss"),
    ],
)
def test_a_target_that_the_head_does_not_have_is_refused(
    maths: Maths,
    head: Any,  # noqa: ANN401
    message: str,
) -> None:
    with pytest.raises(UsageError) as caught:
        check_targets(maths.target, objective=maths.objective, labels=LABELS, head=head)
    assert message in caught.value.message


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError):
        TargetChoice(threshold=threshold)
