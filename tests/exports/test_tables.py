"""The exports `csv` and `parquet`: one line per token."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from pyarrow import parquet

from saliency_cli.exports import parquet_table
from saliency_cli.exports.token_lines import COLUMNS, lines_of
from tests.support.exports import export, exported, fields_with, one_word
from tests.support.paths import ROOT
from tests.support.runs import record, varied, write_run

FORMULA = ("=", "+", "-", "@", "\t", "\r")
ESCAPED_FORMULA = (*FORMULA, "\n", "＝", "＋", "－", "＠")


def read_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))


def test_csv_has_one_line_per_token_of_every_target() -> None:
    rows = read_csv(exported(varied(), "csv"))
    assert list(rows[0]) == list(COLUMNS)
    expected = sum(
        len(each["tokens"]) * (1 + len(each.get("others", ()))) if each["status"] == "ok" else 1
        for each in varied()
    )
    assert len(rows) == expected
    assert {row["reason"] for row in rows if row["status"] == "quarantined"} == {"text is missing"}


@given(one_word)
def test_no_csv_cell_can_be_taken_for_a_formula(text: str) -> None:
    explained = record(0, text) | fields_with(text)
    for row in read_csv(exported([explained], "csv")):
        token = explained["tokens"][int(row["index"])]
        for name in ("id", "predicted", "gold", "token"):
            cell = row[name]
            assert not cell.startswith(FORMULA)
            unchanged = cell == (token if name == "token" else explained[name])
            assert unchanged or (cell[0] == "'" and cell[1:].startswith(ESCAPED_FORMULA))


def test_numbers_in_csv_keep_their_sign() -> None:
    explained = record(0, "free call") | {"scores": [-0.5, 0.25, -0.25]}
    rows = read_csv(exported([explained], "csv"))
    assert [float(row["score"]) for row in rows] == explained["scores"]


@pytest.mark.parametrize("row_group_lines", [7, 65_536])
def test_parquet_holds_the_same_lines_with_types(
    monkeypatch: pytest.MonkeyPatch, row_group_lines: int
) -> None:
    monkeypatch.setattr(parquet_table, "ROW_GROUP_LINES", row_group_lines)
    table = parquet.read_table(io.BytesIO(exported(varied(), "parquet")))
    expected = [
        {name: line.get(name) for name in COLUMNS} for each in varied() for line in lines_of(each)
    ]
    assert table.to_pylist() == expected
    types = {name: table.schema.field(name).type for name in COLUMNS}
    assert types["score"] == pa.float64()
    assert types["special"] == pa.bool_()


@given(one_word)
def test_parquet_keeps_every_text_unchanged(text: str) -> None:
    explained = record(0, text) | fields_with(text)
    table = parquet.read_table(io.BytesIO(exported([explained], "parquet")))
    assert table["token"].to_pylist() == explained["tokens"]
    assert set(table["id"].to_pylist()) == {text}


def test_parquet_without_output_is_refused_with_a_hint(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    result = export(folder, "--format", "parquet", code=2)
    assert "--output" in result.stderr
    assert result.stdout == ""
    export(folder, "--format", "parquet", "--output", tmp_path / "t.parquet")
    assert parquet.read_table(tmp_path / "t.parquet").num_rows > 0


def test_parquet_without_pyarrow_names_the_extra_to_install(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    program = (
        "import sys; sys.modules['pyarrow'] = None\nfrom saliency_cli.__main__ import main; main()"
    )
    arguments = ["export", str(folder), "--format", "parquet", "--output", str(tmp_path / "t")]
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        check=False, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 2
    assert "saliency-cli[parquet]" in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
