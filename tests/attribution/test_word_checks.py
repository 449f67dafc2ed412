"""Checks: each figure is a fresh forward pass without the word, and changes nothing else."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from saliency_cli.analysis.word_checks import check_views
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Record, Row
from saliency_cli.settings import TargetChoice
from tests.support.attribution import engine
from tests.support.models import TEXTS

REPEATED = "free call: call me now, Call or text"


def explained(run: Engine, texts: Sequence[str], pair: str | None = None) -> list[Record]:
    rows = [Row(n, n + 1, None, text, pair=pair) for n, text in enumerate(texts)]
    outcomes = [*explain(rows, run)]
    assert all(isinstance(outcome, Explanation) for outcome in outcomes)
    return [outcome.record() for outcome in outcomes]


def checking(classifier: Classifier, most: int, **changes: Any) -> Engine:  # noqa: ANN401
    return engine(classifier, method=Gradient(), reduction="dot", check_words=most, **changes)


def without(text: str, spans: Sequence[Sequence[int]]) -> str:
    """Return a text without some stretches; one blank keeps its neighbours apart."""
    for start, end in reversed(spans):
        text = f"{text[:start]} {text[end:]}"
    return text


def probability(classifier: Classifier, text: str, label: str) -> float:
    inputs = classifier.tokenizer(text, return_tensors="pt")
    shares = classifier.module(**inputs).logits.softmax(dim=-1)[0]
    return float(shares[classifier.labels.index(label)].detach())


def test_a_check_is_a_forward_pass_over_the_text_without_the_word(bert: Classifier) -> None:
    for found in explained(checking(bert, 3), [*TEXTS[:4], REPEATED]):
        assert len(found["checks"]) == 3
        for check in found["checks"]:
            assert check["by"] == "delete"  # the tokenizer has no mask token
            left = without(found["text"], check["spans"])
            expected = probability(bert, left, found["predicted"])
            assert check["probability"] == pytest.approx(expected, rel=1e-4)


def test_all_occurrences_of_a_word_are_left_out_and_added_up(bert: Classifier) -> None:
    (found,) = explained(checking(bert, 20), [REPEATED])
    check = next(each for each in found["checks"] if each["word"] == "call")
    assert check["spans"] == [[5, 9], [11, 15], [24, 28]]
    sums = {}
    for each in found["checks"]:
        inside = {tuple(span) for span in each["spans"]}
        sums[each["word"]] = abs(
            sum(
                score
                for score, (start, end) in zip(found["scores"], found["offsets"], strict=True)
                if any(start >= first and end <= last and end > start for first, last in inside)
            )
        )
    assert [*sums.values()] == sorted(sums.values(), reverse=True)


def test_a_word_is_masked_where_there_is_a_mask_token(bert: Classifier) -> None:
    bert.tokenizer.mask_token = bert.tokenizer.unk_token
    try:
        (found,) = explained(checking(bert, 1), [TEXTS[2]])
        (check,) = found["checks"]
        ids = bert.tokenizer(TEXTS[2], return_tensors="pt")["input_ids"]
        place = found["offsets"].index(check["spans"][0])
        ids[0, place] = bert.tokenizer.unk_token_id
        shares = bert.module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.softmax(-1)
    finally:
        bert.tokenizer.mask_token = None
    assert check["by"] == "mask"
    expected = float(shares[0, bert.labels.index(found["target"])].detach())
    assert check["probability"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_checks_do_not_depend_on_batches_and_change_no_score(
    request: pytest.FixtureRequest, kind: str
) -> None:
    classifier = request.getfixturevalue(kind)
    plain = explained(checking(classifier, 0), TEXTS)
    alone = [explained(checking(classifier, 2), [text])[0] for text in TEXTS]
    for tokens in (1, 60, 100_000):
        together = explained(checking(classifier, 2, tokens=tokens), TEXTS)
        for one, other, without_checks in zip(together, alone, plain, strict=True):
            assert "checks" not in without_checks
            assert one["scores"] == pytest.approx(without_checks["scores"], abs=1e-5)
            for mine, theirs in zip(one["checks"], other["checks"], strict=True):
                assert mine["word"] == theirs["word"]
                assert mine["probability"] == pytest.approx(theirs["probability"], rel=1e-4)


def test_windows_and_pairs_are_checked_as_a_whole(bert: Classifier) -> None:
    short = replace(checking(bert, 1), classifier=replace(bert, max_length=16), stride=4)
    (found,) = explained(short, [" ".join(TEXTS * 3)])
    assert found["windows"] > 1
    assert 0 <= found["checks"][0]["probability"] <= 1
    (found,) = explained(checking(bert, 9), ["free call"], pair="call now")
    check = next(each for each in found["checks"] if each["word"] == "call")
    assert (check["spans"], check["pair_spans"]) == ([[5, 9]], [[0, 4]])


@pytest.mark.parametrize(
    ("moved", "effect"),
    [
        (0.131, "up 13 points: it spoke against"),
        (-0.2, "down 20 points: it spoke for"),
        (0.0001, "it changes next to nothing"),
    ],
)
def test_the_effect_is_told_in_words(bert: Classifier, moved: float, effect: str) -> None:
    run = checking(bert, 1, target=TargetChoice(contrast="ham"))
    (found,) = explained(run, [TEXTS[0]])
    label = found["target"].partition(" - ")[0]
    found["checks"][0]["probability"] = found["probabilities"][label] + moved
    (view,) = check_views(found)
    assert (view.label, view.effect) == (label, effect)
