"""Mosaics, planted shortcuts, random weights and other seeds: what must come out is known."""

import random
from collections.abc import Iterator

import pytest
import torch

from saliency_cli.evaluation.layers import randomised, weight_groups
from saliency_cli.evaluation.metrics import METRICS
from saliency_cli.evaluation.metrics.interface import Values
from saliency_cli.evaluation.shortcuts import SHORTCUTS, planted_text
from saliency_cli.evaluation.subject import Subject
from saliency_cli.evaluation.training import Lesson, train
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Row
from tests.support.evaluations import Bag, bag_subject, bag_texts, subject_of, write_bag
from tests.support.models import TEXTS

METHODS = "gradient,gradient:reduction=l2,smoothgrad:noise=0,random"


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Bag:
    return write_bag(tmp_path_factory.mktemp("bag"))


@pytest.fixture(scope="module")
def subject(bag: Bag) -> Iterator[Subject]:
    with bag_subject(bag, bag_texts(40), METHODS) as made:
        yield made


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    bag = write_bag(tmp_path_factory.mktemp("learner"))
    with bag_subject(bag, bag_texts(80), planted_steps=75) as made:
        yield made


@pytest.fixture(scope="module")
def planted(learner: Subject) -> Values:
    return METRICS["planted"].reference(learner)


def mean(subject: Subject, metric: str, name: str, reference: Values | None = None) -> float:
    """Return the mean that a metric gives a method."""
    reference = METRICS[metric].reference(subject) if reference is None else reference
    values = METRICS[metric].measure(subject, name, reference)
    figure = METRICS[metric].summarise(values, reference)["mean"]
    assert isinstance(figure, float)
    return figure


def test_exact_scores_find_the_half_that_speaks_for_a_label(subject: Subject) -> None:
    assert mean(subject, "mosaic", "gradient") > 0.65
    assert mean(subject, "mosaic", "random") == pytest.approx(0.5, abs=0.01)
    unsigned = METRICS["mosaic"].measure(subject, "gradient:reduction=l2", {"pairs": [[0, 1]] * 2})
    assert unsigned == {"reason": "its scores have no sign"}


def test_exact_scores_find_a_planted_word_first(learner: Subject, planted: Values) -> None:
    token = planted["kinds"]["token"]
    assert token["is_learned"], token
    assert not {*token["words"]} & {*" ".join(bag_texts(80)).split()}
    assert mean(learner, "planted", "gradient", planted) == 1.0
    assert mean(learner, "planted", "random", planted) < 0.5


def test_a_shortcut_counts_the_texts_it_was_looked_for_in(planted: Values) -> None:
    figure = METRICS["planted"].summarise({"ranks": {"token": [1, 1, 2, 4]}}, planted)
    token = figure["kinds"]["token"]
    assert (token["explained"], token["first"]["mean"], token["mrr"]["mean"]) == (4, 0.5, 0.6875)
    unlearned = METRICS["planted"].summarise({"ranks": {"pair": [1, 2]}}, planted)
    assert (unlearned["mean"], "single-token" in unlearned["reason"]) == (None, True)


def test_what_a_model_cannot_learn_is_no_test_of_a_method(planted: Values) -> None:
    """A bag of words has no order."""
    assert not planted["kinds"]["order"]["is_learned"]


def test_the_users_weights_stay_as_they_are(learner: Subject, planted: Values) -> None:
    assert planted
    (weight,) = learner.engine.classifier.embedding.parameters()
    assert weight.abs().max() < 1.5
    assert torch.equal(weight[:, 0], -weight[:, 1])
    weights = learner.engine.classifier.module.parameters()
    assert not any(weight.requires_grad for weight in weights)


def test_training_is_the_same_every_time(learner: Subject, planted: Values) -> None:
    assert planted
    lesson, learned = learner.memory["planted"]["token"]
    again = train(lesson).classifier.embedding.get_parameter("weight")
    assert torch.equal(again, learned.classifier.embedding.get_parameter("weight"))


def test_only_the_last_layers_are_trained_if_so_asked(bert: Classifier) -> None:
    options = {"planted_steps": 1, "planted_layers": 1}
    with subject_of(bert, bag_texts(20), "gradient", **options) as made:
        label = 1 - int(made.labels.mode().values)
        lesson = Lesson(made, SHORTCUTS["token"], ["late", "was"], label)
        copy = dict(train(lesson).classifier.module.named_parameters())
    changed = {n for n, weight in bert.module.named_parameters() if not weight.equal(copy[n])}
    head, last, *_ = weight_groups(bert)
    assert {"classifier.weight", last[0]} <= changed <= {*head, *last}


def test_planted_words_are_where_their_spans_say() -> None:
    row = Row(0, 1, None, "one  two\tthree four")
    for key in range(20):
        chance = random.Random(key)  # noqa: S311 - no secret
        planted = planted_text(row, ["foo", "ba"], max_length=12, chance=chance)
        assert [planted.row.text[start:end] for start, end in planted.spans] == ["foo", "ba"]
        rest = planted.row.text.replace("foo", "").replace("ba", "")
        assert rest.split() == ["one", "two", "three"]
        assert planted.row.text.split() == planted.row.text.split(" ")


def test_scores_that_ignore_the_model_do_not_change_with_its_weights(bert: Classifier) -> None:
    with subject_of(bert, [*TEXTS[:4]], "gradient,random") as made:
        assert mean(made, "randomisation", "random") == 1.0
        assert mean(made, "randomisation", "gradient") < 0.9


def test_random_weights_are_those_of_the_head_and_the_layers(bert: Classifier) -> None:
    head, *layers = weight_groups(bert)
    assert [name.split(".")[0] for name in head] == ["bert", "bert", "classifier", "classifier"]
    assert [group[0].partition(".layer.")[2][0] for group in layers] == ["1", "0"]
    copy = dict(randomised(bert, head, seed=0).module.named_parameters())
    changed = {n for n, weight in bert.module.named_parameters() if not weight.equal(copy[n])}
    assert changed == {name for name in head if name.endswith("weight")}


def test_a_second_seed_changes_random_scores_and_no_others(subject: Subject) -> None:
    assert mean(subject, "stability", "smoothgrad:noise=0") > 0.99
    values = METRICS["stability"].measure(subject, "gradient", {})
    assert values == {"reason": "it draws nothing at random"}
    with subject_of(subject.engine.classifier, bag_texts(40), "random") as made:
        assert abs(mean(made, "stability", "random")) < 0.3
