"""The exports of a comparison: golden files, no growth, hostile texts, what is refused."""

import csv
import io
from pathlib import Path

import pytest

from saliency_cli.exports.comparison import COMPARISON_EXPORTS
from tests.support.comparisons import write_page
from tests.support.exports import export
from tests.support.paths import GOLDEN

CASES = [*((name, False) for name in COMPARISON_EXPORTS), ("junit", True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("comparison"))


@pytest.mark.parametrize(("name", "rows"), CASES)
def test_each_equals_its_golden_file(
    folder: Path, name: str, rows: bool, pytestconfig: pytest.Config
) -> None:
    result = export(folder, "--format", name, *(["--junit-rows"] if rows else []))
    content = result.stdout_bytes
    golden = GOLDEN / f"comparison-{name}{'-rows' if rows else ''}.txt"
    if pytestconfig.getoption("--update-golden"):
        golden.write_bytes(content)
    assert content == golden.read_bytes()


def test_csv_has_one_line_for_each_row_and_no_formula(folder: Path) -> None:
    lines = [*csv.DictReader(io.StringIO(export(folder, "--format", "csv").stdout))]
    assert [line["change"] for line in lines][:3] == ["broken", "fixed", "flipped"]
    assert len(lines) == 8
    assert lines[0]["predicted_before"] == "spam"
    assert lines[0]["gold"] == "spam"
    assert not [cell for line in lines for cell in line.values() if cell.startswith("=")]


def test_formats_of_runs_and_wrong_places_are_refused(folder: Path, tmp_path: Path) -> None:
    refused = export(folder, "--format", "parquet", "--output", tmp_path / "x", code=2)
    assert "is of a run, and this folder holds a comparison" in refused.stderr
    assert "--junit-rows is for" in export(folder, "--format", "csv", "--junit-rows", code=2).stderr
    inside = folder / "comparison.csv"
    assert (
        "inside the folder" in export(folder, "--format", "csv", "--output", inside, code=2).stderr
    )
    (tmp_path / "texts.jsonl").write_text("mine")
    kept = export(
        folder, "--format", "csv", "--output", tmp_path / "texts.jsonl", "--overwrite", code=2
    )
    assert "a file that the run was made from" in kept.stderr


@pytest.mark.parametrize("name", ["comparison.json", "rows.jsonl"])
def test_a_damaged_comparison_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    folder = write_page(tmp_path)
    (folder / name).write_text('{"schema": 1' if name == "comparison.json" else "[]\n")
    result = export(folder, "--format", "csv", code=2)
    assert "is damaged" in result.stderr
    assert len(result.stderr.splitlines()) == 2
