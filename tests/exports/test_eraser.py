"""The export `eraser`: rationales as ERASER's scorer reads and verifies them."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.exports.eraser import document_words
from saliency_cli.records import Record
from tests.support.exports import any_text, exported, problems_of
from tests.support.runs import pair_record, record


def words_of_the_scorer(text: str) -> list[str]:
    """Split a document as ERASER's `load_documents` does when it reads it from a file."""
    lines = (line.strip() for line in io.StringIO(text, newline=None))
    return [word for line in lines if line for word in line.split(" ") if word]


def instance_of(each: Record) -> dict[str, Any]:
    """Return the object that is exported for one record."""
    instance: dict[str, Any] = json.loads(exported([each], "eraser"))
    return instance


@given(any_text)
def test_words_of_a_document_equal_the_scorers(text: str) -> None:
    assert [text[start:end] for start, end in document_words(text)] == words_of_the_scorer(text)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_rationale_passes_the_checks_of_the_scorer(scores: list[float]) -> None:
    text = " ".join(f"w{number}" for number in range(len(scores)))
    instance = instance_of(record(0, text) | {"scores": [0.0, *scores], "id": None})
    (document,) = instance["rationales"]
    assert instance["annotation_id"] == document["docid"] == "0"
    soft = document["soft_rationale_predictions"]
    assert soft == pytest.approx(scores, abs=1e-6)
    words: list[int] = []
    for span in document["hard_rationale_predictions"]:
        assert 0 <= span["start_token"] < span["end_token"] <= len(scores)
        words.extend(range(span["start_token"], span["end_token"]))
    assert words == sorted(set(words))
    positive = [score for score in soft if score > 0]
    evidence = sorted((soft[word] for word in words), reverse=True)
    assert evidence == sorted(positive, reverse=True)[: len(evidence)]
    assert sum(evidence) >= sum(positive) / 2 - 1e-9
    assert sum(evidence[:-1]) <= sum(positive) / 2 + 1e-9
    assert instance["classification"] in instance["classification_scores"]


def test_pair_gives_two_documents() -> None:
    first, second = instance_of(pair_record(7))["rationales"]
    assert (first["docid"], second["docid"]) == ("id-7_premise", "id-7_hypothesis")
    assert first["soft_rationale_predictions"] == [0.05, 0.05, 0.25]
    assert second["soft_rationale_predictions"] == [0.05, 0.05, 0.4]


def test_scores_of_a_words_tokens_are_added_also_with_white_space_before_them() -> None:
    explained = record(0, "x") | {
        "text": " free  call",
        "tokens": [" fr", "ee", "  call"],
        "offsets": [[0, 3], [3, 5], [5, 11]],
        "special": [False] * 3,
        "scores": [0.25, 0.25, 0.5],
        "errors": None,
    }
    (document,) = instance_of(explained)["rationales"]
    assert document["soft_rationale_predictions"] == [0.5, 0.5]


def test_ids_that_the_scorer_cannot_use_are_told() -> None:
    records = [
        record(number, "a b") | {"id": name} for number, name in enumerate(["a/1", "b", "b"])
    ]
    twice, slash = problems_of(records)
    assert twice.startswith("1 rows have the id of an earlier row")
    assert slash.startswith("1 ids have a /")
    assert not problems_of(records[1:2])
