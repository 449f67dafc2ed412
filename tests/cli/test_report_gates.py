"""Gates of `saliency report`: on any finished run, with the results in manifest and page."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from tests.support.exports import wrong_record
from tests.support.paths import ROOT
from tests.support.runs import record, write_run

GATES = ("--fail-on", "accuracy<0.9", "--fail-on", "warn:accuracy<0.95", "--fail-on", "rows>9")


def records(wrong: int, rows: int = 8) -> list[Any]:
    return [
        wrong_record(n, 0.9) if n < wrong else record(n, f"free call now {n}", gold="spam")
        for n in range(rows)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a finished run with 6 of 8 predictions right."""
    return write_run(tmp_path / "run", records(2))


def report(folder: Path, *options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["report", str(folder), *options])
    assert result.exit_code == code, result.output
    return result


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return found


def outcomes(folder: Path) -> dict[str, str]:
    return {each["gate"]: each["outcome"] for each in manifest(folder)["gates"]}


def test_failed_gate_exits_with_1_and_stands_in_manifest_page_and_table(folder: Path) -> None:
    before = manifest(folder)
    printed = " ".join(report(folder, *GATES, code=1).stderr.split())
    sentence = "accuracy is 75 %, and must not be below 90 %"
    assert f"gate failed: {sentence} gate warned: accuracy is 75 %, and must not be" in printed
    assert "gate passed: number of rows is 8, and must not be above 9" in printed
    assert "wrong 2 of 8 predictions" in printed
    assert printed.endswith(f"failed: {sentence}")
    assert outcomes(folder) == {
        "accuracy<0.9": "failed",
        "warn:accuracy<0.95": "warned",
        "rows>9": "passed",
    }
    assert manifest(folder) | {"gates": None} == before | {"gates": None}
    assert sentence in (folder / "index.html").read_text(encoding="utf-8")


def test_results_stay_without_fail_on_and_are_replaced_with_it(folder: Path) -> None:
    report(folder, *GATES, code=1)
    kept = manifest(folder)
    assert "gate " in report(folder).stderr
    assert manifest(folder) == kept
    report(folder, "--fail-on", "accuracy<0.7")
    assert outcomes(folder) == {"accuracy<0.7": "passed"}


def test_same_gates_twice_write_the_same_bytes(folder: Path) -> None:
    report(folder, *GATES, code=1)
    names = ("manifest.json", "index.html")
    once = [(folder / name).read_bytes() for name in names]
    report(folder, *GATES, code=1)
    assert [(folder / name).read_bytes() for name in names] == once


def test_run_of_a_version_without_gates_is_read(folder: Path) -> None:
    assert "gates" not in manifest(folder)
    report(folder)
    assert "gates" not in manifest(folder)
    assert 'id="gates"' not in (folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "gates",
    [
        {},
        [{}],
        ["accuracy<0.9"],
        [{"gate": "a<1", "level": "fatal", "value": 1, "bound": 1, "baseline": None}],
    ],
)
def test_damaged_results_are_refused(folder: Path, gates: object) -> None:
    (folder / "manifest.json").write_text(
        json.dumps(manifest(folder) | {"gates": gates}), encoding="utf-8"
    )
    assert "gates is damaged" in report(folder, code=2).stderr


def test_bound_by_a_baseline_is_relative_to_that_run(tmp_path: Path, folder: Path) -> None:
    earlier = write_run(tmp_path / "earlier", records(1))
    options = ("--fail-on", "accuracy<baseline-0.01", "--baseline-run", str(earlier))
    printed = report(folder, *options, code=1).stderr
    assert (
        "failed: accuracy is 75 %, and must not be below 86.5 % (87.5 % in the baseline, less 1 "
        "point)\n"
    ) in printed
    report(folder, "--fail-on", "accuracy<baseline*0.5", "--baseline-run", str(earlier))
    assert str(tmp_path) not in json.dumps(manifest(folder))


def test_baseline_is_refused_where_it_cannot_be_used(tmp_path: Path, folder: Path) -> None:
    relative = ("--fail-on", "accuracy<baseline")
    before = manifest(folder)
    for options, message in (
        (relative, "--fail-on accuracy<baseline needs a run to compare with"),
        (("--baseline-run", str(folder)), "no --fail-on has one"),
        ((*relative, "--baseline-run", str(folder)), "is the folder of the run itself"),
        ((*relative, "--baseline-run", str(tmp_path)), "holds no finished run"),
    ):
        refused = report(folder, *options, code=2).stderr
        assert message in refused
        assert refused.count("\n") == 2
    assert manifest(folder) == before


def test_several_processes_judge_one_run_and_leave_the_results_of_one(folder: Path) -> None:
    bounds = ("0.1", "0.2")
    command = [sys.executable, "-m", "saliency_cli", "report", str(folder), "--quiet", "--fail-on"]
    running = [subprocess.Popen([*command, f"accuracy<{bound}"], cwd=ROOT) for bound in bounds]
    assert [process.wait() for process in running] == [0] * len(bounds)
    (gate,) = outcomes(folder)
    assert f"not be below {100 * float(gate.partition('<')[2]):g} %" in (
        folder / "index.html"
    ).read_text(encoding="utf-8")
