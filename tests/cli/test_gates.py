"""Gates for CI (`--fail-on`): which runs pass, which fail, and which expressions are refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.cli.gates import NAMES, Gate, parse_gates
from saliency_cli.errors import UsageError
from saliency_cli.runs.summary import Summary
from tests.support.paths import SAMPLE

SUMMARY = Summary(
    rows=20,
    ok=19,
    quarantined=1,
    gold_rows=19,
    gold_known=19,
    accuracy=0.9,
    mean_probability=0.95,
    flip_rate=0.01,
    special_share=0.25,
    samples=4.0,
    truncated=0,
)
numbers = st.floats(allow_nan=False, allow_infinity=False)


def explain(tmp_path: Path, *options: str, model: Path = SAMPLE / "model.pt") -> Result:
    paths = [str(model), str(SAMPLE / "texts.jsonl"), "--out", str(tmp_path / "report")]
    return CliRunner().invoke(app, ["explain", *paths, "--limit", "3", "--quiet", *options])


@given(st.sampled_from(NAMES), st.sampled_from("<>"), numbers, st.sampled_from(["", " ", "  "]))
def test_expression_is_parsed_with_any_spacing(
    name: str, sign: str, bound: float, space: str
) -> None:
    (gate,) = parse_gates([f"{space}{name}{space}{sign}{space}{bound!r}{space}"])
    assert (gate.name, gate.sign, gate.bound) == (name, sign, bound)


@given(numbers, numbers)
def test_gate_fails_only_beyond_its_bound(value: float, bound: float) -> None:
    summary = replace(SUMMARY, accuracy=value)
    below, above = (Gate("accuracy", sign, bound).failure(summary) for sign in ("<", ">"))
    assert (below is not None) == (value < bound)
    assert (above is not None) == (value > bound)


def test_failure_message_has_name_value_and_bound() -> None:
    failure = Gate("accuracy", "<", 0.95).failure(SUMMARY)
    assert failure == "accuracy is 0.9, and must not be < 0.95"


def test_accuracy_over_a_part_of_the_gold_labels_fails_unless_that_is_allowed() -> None:
    partial = replace(SUMMARY, accuracy=1.0, gold_rows=10, gold_known=2)
    gate = Gate("accuracy", "<", 0.9)
    assert gate.failure(partial) == (
        "accuracy covers 2 of 10 rows with a gold label: 8 have labels that the model does not "
        "have (--allow-unknown-gold)"
    )
    assert gate.failure(partial, partly=True) is None
    assert gate.failure(replace(partial, gold_known=10)) is None


@pytest.mark.parametrize("sign", ["<", ">"])
def test_number_that_could_not_be_measured_fails(sign: str) -> None:
    (gate,) = parse_gates([f"accuracy{sign}0.5"])
    failure = gate.failure(replace(SUMMARY, accuracy=None))
    assert failure is not None
    assert "could not be measured" in failure


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "accuracy",
        "accuracy<",
        "<0.9",
        "accuracy<=0.9",
        "accuracy==1",
        "accuracy<0,9",
        "accuracy<nan",
        "accuracy<inf",
        "accuracy<1_0",
        "accuracy<0.9>0.1",
        "accuracy<0.9\nrows>1",
        "acuracy<0.9",
        "exit_code>0",
        "__class__<1",
    ],
)
def test_invalid_expression_is_refused_before_anything_is_loaded(
    tmp_path: Path, expression: str
) -> None:
    with pytest.raises(UsageError):
        parse_gates([expression])
    result = explain(tmp_path, "--fail-on", expression, model=tmp_path / "no-such-model.pt")
    assert result.exit_code == 2
    assert "--fail-on" in result.stderr
    assert not (tmp_path / "report").exists()


def test_passed_gates_change_nothing(tmp_path: Path) -> None:
    result = explain(tmp_path, "--fail-on", "accuracy<0.9", "--fail-on", "rows>3")
    assert (result.exit_code, result.stderr) == (0, "")


def test_each_failed_gate_has_one_line_and_the_report_is_complete(tmp_path: Path) -> None:
    gates = ("accuracy<0.9", "rows>2", "special_share>0")
    options = [word for gate in gates for word in ("--fail-on", gate)]
    result = explain(tmp_path, *options, "--json")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0] == "failed: rows is 3, and must not be > 2"
    assert lines[1].startswith("failed: special_share is 0.")
    assert json.loads(result.stdout)["rows"] == 3
    assert (tmp_path / "report" / "index.html").exists()


def test_exit_code_of_a_failed_gate_precedes_that_of_quarantined_rows(tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "free call"}\n{"text": ""}\n', encoding="utf-8")
    paths = [str(SAMPLE / "model.pt"), str(texts), "--out", str(tmp_path / "out")]
    run = CliRunner().invoke(app, ["explain", *paths, "--fail-on", "quarantined>0"])
    assert run.exit_code == 1
    run = CliRunner().invoke(app, ["explain", *paths, "--overwrite", "--fail-on", "quarantined>1"])
    assert run.exit_code == 4
    run = CliRunner().invoke(app, ["explain", *paths, "--overwrite", "--fail-on", "accuracy<0"])
    assert run.exit_code == 1
    assert "accuracy could not be measured" in run.stderr
