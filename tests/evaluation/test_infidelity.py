"""Infidelity: of exact scores, of random ones, and against Captum's of the same masks."""

import random
from collections.abc import Iterator

import pytest
import torch
from captum.metrics import infidelity

from saliency_cli.evaluation.metrics import METRICS
from saliency_cli.evaluation.metrics.infidelity import MASKS, masks, unexplained
from saliency_cli.evaluation.orders import padded
from saliency_cli.evaluation.subject import Subject
from tests.support.evaluations import bag_subject, bag_texts, with_scores, write_bag

INFIDELITY = METRICS["infidelity"]


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    bag = write_bag(tmp_path_factory.mktemp("bag"))
    with bag_subject(bag, bag_texts(20)) as made:
        yield made


def measured(subject: Subject, name: str) -> list[float]:
    """Return the unexplained share of each text."""
    values = INFIDELITY.measure(subject, name, INFIDELITY.reference(subject))
    found: list[float] = values["unexplained"]
    return found


def shuffled(subject: Subject) -> list[list[float]]:
    """Return the exact scores in another order in each text."""
    chosen = random.Random(0)  # noqa: S311 - no secret
    return [chosen.sample([*each], len(each)) for each in subject.scores["gradient"]]


def test_exact_scores_of_a_linear_model_leave_nothing_unexplained(subject: Subject) -> None:
    assert max(measured(subject, "gradient")) < 1e-9
    tenth = [[score / 10 for score in scores] for scores in subject.scores["gradient"]]
    assert max(measured(with_scores(subject, {"random": tenth}), "random")) < 1e-9


def test_shuffled_scores_leave_most_unexplained(subject: Subject) -> None:
    found = measured(with_scores(subject, {"random": shuffled(subject)}), "random")
    assert sum(found) / len(found) > 0.5
    assert all(0 <= each <= 1 + 1e-9 for each in found)


def test_a_text_of_which_no_mask_changes_the_logit_has_no_share() -> None:
    falls = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    found = unexplained(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), falls)
    assert found[0].isnan()
    assert found[1] == 1  # scores of 0 explain nothing


def test_it_is_captums_number_in_parts_of_the_changes(subject: Subject) -> None:
    """`captum.metrics.infidelity(normalize=True)`, given the same masks and scores."""
    changed = with_scores(subject, {"random": shuffled(subject)})
    reference = INFIDELITY.reference(changed)
    longest = changed.passes.tokens.longest
    removed = masks(changed)[1].view(-1, MASKS, longest).double()
    weights = changed.engine.classifier.embedding.get_parameter("weight").detach().double()
    scores = padded(changed.scores["random"], longest=longest)
    for text, (encoding, falls) in enumerate(
        zip(changed.encodings, torch.tensor(reference["falls"]).double(), strict=True)
    ):
        own = torch.zeros(1, longest, dtype=torch.float64)
        own[0, : len(encoding)] = weights[list(encoding.ids), changed.labels[text]]
        expected = infidelity(
            lambda present: present.sum(dim=1),
            lambda present, drawn=removed[text], own=own: (drawn, present - drawn * own),
            own,
            scores[text][None],
            n_perturb_samples=MASKS,
            normalize=True,
        )
        share = float(expected) / float(falls.square().mean())
        assert measured(changed, "random")[text] == pytest.approx(share, abs=1e-5)
