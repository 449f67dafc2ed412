"""The numbers of a run that gates can bound: each is that of the summary, or counted by hand."""

import json
from pathlib import Path

import pytest

from saliency_cli.gates import GateResult, judge, parse_gates
from saliency_cli.gates.run_numbers import RUN_NAMES, RunNumbers
from saliency_cli.runs.finished_run import open_run
from saliency_cli.runs.summary import NUMBERS
from tests.support.runs import planted, record, write_run

CHECK = {
    "alone": [],
    "control": {"texts": 40, "flipped": 1, "words": ["is"]},
    "inserted": {"texts": 40, "flipped": 30},
    "label": "spam",
    "removed": {"texts": 30, "flipped": 20},
    "words": ["zap"],
}
UNCONFIRMED = {**CHECK, "inserted": {"texts": 40, "flipped": 1}, "words": ["all"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with a planted word, gold labels, and a slice column called `label`."""
    records = [
        each | {"gold": "spam" if number % 4 else "ham", "slices": {"label": "ab"[number % 2]}}
        for number, each in enumerate(planted())
    ]
    path = write_run(tmp_path_factory.mktemp("runs") / "run", records)
    (path / "suspects.json").write_text(json.dumps([CHECK, UNCONFIRMED]), encoding="utf-8")
    return path


def result(folder: Path, expression: str, *, partly: bool = False) -> GateResult:
    numbers = RunNumbers.of(open_run(folder), partly=partly)
    (found,) = judge(parse_gates([expression], names=RUN_NAMES), numbers)
    return found


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_those_of_the_summary(folder: Path, name: str) -> None:
    assert result(folder, f"{name}<0").value == getattr(open_run(folder).summary, name)


def test_figures_of_a_label_are_its_own_though_a_slice_column_is_called_label(
    folder: Path,
) -> None:
    summary = open_run(folder).summary
    for name in ("precision", "recall", "f1"):
        found = result(folder, f"{name}[label=spam]<0")
        assert found.value == summary.labels["spam"][name]
        assert found.is_share
    assert result(folder, "accuracy[label=b]<0").value == summary.slices["label"]["b"]["accuracy"]


def test_unknown_label_and_slice_are_named_with_those_that_there_are(folder: Path) -> None:
    assert result(folder, "recall[label=eggs]<0").sentence == (
        "recall of label eggs could not be measured: there is no such label; there are ham, spam"
    )
    assert "there is no such slice; there are label=a, label=b, " in (
        result(folder, "accuracy[label=spam]<0").sentence
    )


def test_suspects_are_counted_and_those_that_beat_their_control(folder: Path) -> None:
    assert result(folder, "suspects>0").value == 1
    assert result(folder, "confirmed_suspects>0").sentence == (
        "number of confirmed shortcut suspects is 1, and must not be above 0"
    )


def test_suspects_that_were_not_checked_do_not_pass(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [record(0, "free call now", gold="spam")])
    assert result(run, "suspects>0").outcome == "passed"
    found = result(run, "confirmed_suspects>0")
    assert found.fails
    assert "the suspects were not checked" in found.sentence


def test_accuracy_over_a_part_of_the_gold_labels_fails_unless_that_is_allowed(
    tmp_path: Path,
) -> None:
    records = [record(n, "free call now", gold=gold) for n, gold in enumerate(("spam", "eggs"))]
    run = write_run(tmp_path / "run", records)
    assert result(run, "accuracy<0.9").sentence == (
        "accuracy could not be measured: it covers 1 of 2 rows with a gold label, and the model "
        "does not have the labels of 1 (--allow-unknown-gold)"
    )
    assert result(run, "accuracy<0.9", partly=True).outcome == "passed"
