"""The first screen's counts, and what speaks against the explanations of a run."""

import json
from typing import Any

import pytest

from saliency_cli.analysis.findings import collect_findings
from saliency_cli.analysis.first_look import FirstLook, FirstLookCounts
from saliency_cli.analysis.word_shares import row_stats
from saliency_cli.records import Record
from saliency_cli.report.trust import doubts
from tests.support.runs import manifest, record


def checked(ordinal: int, word: str, without: float, **changes: Any) -> Record:  # noqa: ANN401
    check = {"word": word, "spans": [[0, 1]], "probability": without, "by": "mask"}
    return record(ordinal, "one two three", checks=[check], **changes)


def first_look(records: list[Record]) -> FirstLook:
    counts = FirstLookCounts()
    for each in records:
        counts.add(row_stats(each))
    return counts.result()


def test_decisive_words_are_those_without_which_the_label_loses() -> None:
    unsure = {"probability": 0.4, "probabilities": {"ham": 0.3, "spam": 0.4}}
    records = [
        checked(0, "Zap", 0.49),
        checked(1, "zap", 0.1),
        checked(2, "zap", 0.5),
        checked(3, "home", 0.2),
        checked(4, "low", 0.2, **unsure),
        checked(5, "other", 0.1, target="ham"),
        record(6, "no checks"),
    ]
    found = first_look(records)
    assert (found.checked, found.decided) == (4, 3)
    assert found.words == (("zap", 2), ("home", 1))


def test_shares_within_their_error_are_undecided() -> None:
    scores, errors = [0.5, 0.3, -0.1, 0.005], [0.9, 0.1, 0.1, 0.9]
    found = first_look([record(0, "a b c", scores=scores, errors=errors)])
    assert (found.shares, found.undecided) == (2, 1)
    assert first_look([record(0, "a b c", errors=None)]).shares == 0


def facts(records: list[Record], **changes: Any) -> list[str]:  # noqa: ANN401
    run = manifest(records)
    for name, value in changes.items():
        run[name] = {**run[name], **value} if isinstance(value, dict) else value
    findings = collect_findings(map(json.dumps, records), labels=("ham", "spam"))
    return [each.fact for each in doubts(run, findings)]


FINE = [record(ordinal, "one two three") for ordinal in range(10)]
CUT = [record(ordinal, "one two three", truncated=ordinal < 2) for ordinal in range(10)]
NOISY = [record(ordinal, "one two three", flip_rate=0.25) for ordinal in range(10)]
VAGUE = [record(0, "a b", scores=[0.2, 0.4, 0.4], errors=[0.1, 0.5, 0.5])]
SPECIAL = [record(0, "a b", special_share=0.75)]
WITHOUT_RULE = {"operations_without_rule": ["fft"]}


@pytest.mark.parametrize(
    ("records", "changes", "expected"),
    [
        (FINE, {}, []),
        (CUT[1:], {}, ["The model did not see the end of 1 text."]),
        (NOISY, {}, ["Tiny changes overturn 25"]),
        (VAGUE, {}, ["100", "1 text has a standard error"]),
        (SPECIAL, {}, ["75"]),
        (FINE, {"deterministic": False}, ["Two passes of the model"]),
        (FINE, {"method": {"name": "random"}}, ["Random numbers say nothing"]),
        (
            FINE,
            {
                "model": WITHOUT_RULE,
                "options": {"propagation": "conservative"},
                "propagation": "standard",
            },
            ["Conservative propagation has no rule for fft"],
        ),
        (FINE, {"model": WITHOUT_RULE, "options": {"propagation": "standard"}}, []),
    ],
)
def test_what_speaks_against_the_explanations_is_named(
    records: list[Record], changes: dict[str, Any], expected: list[str]
) -> None:
    found = facts(records, **changes)
    assert len(found) == len(expected)
    for fact, start in zip(found, expected, strict=True):
        assert fact.startswith(start)
