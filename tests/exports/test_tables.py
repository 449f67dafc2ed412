"""The exports `csv` and `parquet`: one line per token."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from saliency_cli.exports import parquet_table
from saliency_cli.exports.token_lines import COLUMNS, lines_of
from tests.support.exports import export, exported, fields_with, one_word
from tests.support.paths import ROOT
from tests.support.runs import record, varied, write_run

FORMULA = ("=", "+", "-", "@", "\t", "\r")
SEPARATOR = re.compile(r"[;\t\r\n]")
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
            cell, value = row[name], token if name == "token" else explained[name]
            assert not cell.startswith(FORMULA)
            if not value.startswith(ESCAPED_FORMULA) and not SEPARATOR.search(value):
                assert cell == value
            assert without_marks(cell) == without_marks(value)


def without_marks(text: str) -> str:
    """Return a text without the `'` that may have been put before a formula."""
    return re.sub(r"(^|[;\t\r\n])'", r"\1", text)


@given(st.text(st.sampled_from("=+-@;\t\n\"', a")))
def test_no_cell_is_a_formula_where_lines_are_split_at_semicolons_or_tabs(text: str) -> None:
    """Such a spreadsheet sees the quotes around a cell only where a cell of its own begins."""
    lines = exported([record(0, "free") | fields_with(text)], "csv").decode()
    for cell in SEPARATOR.split(lines):
        assert not cell.lstrip(' "').startswith(FORMULA)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (";=1", ";'=1"),
        ("a;\"=cmd|' /C calc'!A0", "a;'\"=cmd|' /C calc'!A0"),
        ("=1;=2", "'=1;'=2"),
        ("a;b=c", "a;b=c"),
    ],
)
def test_a_formula_after_a_semicolon_gets_a_mark(text: str, cell: str) -> None:
    (row, *_others) = read_csv(exported([record(0, "free") | fields_with(text)], "csv"))
    assert (row["id"], row["predicted"]) == (cell, cell)


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
