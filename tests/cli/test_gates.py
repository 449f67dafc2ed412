"""Gates for CI (`--fail-on`): which runs pass, which fail, and which expressions are refused."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.errors import UsageError
from saliency_cli.gates import parse_gates
from saliency_cli.gates.run_numbers import RUN_NAMES
from tests.support.paths import SAMPLE


def explain(tmp_path: Path, *options: str, model: Path = SAMPLE / "model.pt") -> Result:
    paths = [str(model), str(SAMPLE / "texts.jsonl"), "--out", str(tmp_path / "report")]
    return CliRunner().invoke(app, ["explain", *paths, "--limit", "3", "--quiet", *options])


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
        parse_gates([expression], names=RUN_NAMES)
    result = explain(tmp_path, "--fail-on", expression, model=tmp_path / "no-such-model.pt")
    assert result.exit_code == 2
    assert "--fail-on" in result.stderr
    assert not (tmp_path / "report").exists()


def test_a_label_that_the_model_does_not_have_is_refused_before_texts_are_explained(
    tmp_path: Path,
) -> None:
    result = explain(tmp_path, "--fail-on", "recall[label=Spam]<0.9")
    assert result.exit_code == 2
    assert "the model has no label Spam" in result.stderr
    assert "did you mean spam?" in result.stderr
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
    assert lines[0] == "failed: number of rows is 3, and must not be above 2"
    assert lines[1].startswith("failed: share on special tokens is ")
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


def test_finished_run_is_resumed_with_other_gates(tmp_path: Path) -> None:
    def gates() -> list[str]:
        manifest = json.loads((tmp_path / "report" / "manifest.json").read_text(encoding="utf-8"))
        return [f"{each['gate']} {each['outcome']}" for each in manifest["gates"]]

    assert explain(tmp_path, "--fail-on", "rows>2").exit_code == 1
    assert gates() == ["rows>2 failed"]
    assert explain(tmp_path, "--resume", "--fail-on", "warn:rows>2").exit_code == 0
    assert gates() == ["warn:rows>2 warned"]
    assert explain(tmp_path, "--resume").exit_code == 0
    assert gates() == []


def test_baseline_is_opened_before_anything_is_loaded(tmp_path: Path) -> None:
    options = ("--fail-on", "accuracy<baseline", "--baseline-run", str(tmp_path / "none"))
    result = explain(tmp_path, *options, model=tmp_path / "no-such-model.pt")
    assert result.exit_code == 2
    assert "none: there is no such folder" in result.stderr
    assert not (tmp_path / "report").exists()
