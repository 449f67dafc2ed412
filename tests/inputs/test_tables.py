"""Parquet and Excel's workbooks: rows by number, and one line for what cannot be read."""

import io
import itertools
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from saliency_cli.errors import UsageError
from saliency_cli.inputs.formats import excel_file
from saliency_cli.inputs.options import Columns, TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.records import BadRow, Row
from tests.inputs.test_text_source import stdin

DAY = date(2024, 1, 31)


def write_parquet(path: Path, columns: dict[str, list[Any]], *, group: int = 3) -> Path:
    parquet.write_table(pa.table(columns), path, row_group_size=group)
    return path


def write_excel(path: Path, *rows: tuple[Any, ...], more_sheets: int = 0) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for _ in range(more_sheets):
        book.create_sheet()
    book.save(path)
    return path


def read(path: Path, **choice: Any) -> tuple[str | None, list[Row | BadRow]]:  # noqa: ANN401
    """Return what is said of a file and its rows, after reading them in shards in both orders."""
    with open_texts(TextsChoice(str(path), **choice)) as source:
        whole = [*source.all_rows()]
        for every in (1, 2, 4):
            positions = [*source.positions(every)]
            assert source.count == len(whole)
            for backwards in (False, True):
                order = positions[::-1] if backwards else positions
                shards = [[*source.rows(each, every)] for each in order]
                shards = shards[::-1] if backwards else shards
                assert [*itertools.chain(*shards)][: source.count] == whole
        skipped = [next(source.rows(each, 1)) for each in [*source.positions(3)]]
        assert skipped == whole[::3]
        return source.found, whole


def refusal(path: Path, **choice: Any) -> UsageError:  # noqa: ANN401
    with pytest.raises(UsageError) as caught:
        read(path, **choice)
    return caught.value


def test_rows_of_parquet_are_read_from_every_position(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(8)]
    columns: dict[str, list[Any]] = {
        "Text": [*texts, None, ""],
        "label": [1.0, float("nan"), None, *[0.0] * 7],
        "id": [DAY] * 10,
        "tags": [["a"]] * 10,
    }
    said, rows = read(write_parquet(tmp_path / "a.parquet", columns))
    assert said == "a.parquet is read its column 'Text' as text"
    assert rows[:3] == [
        Row(0, 1, "2024-01-31", "text 0", "1.0"),
        Row(1, 2, "2024-01-31", "text 1"),
        Row(2, 3, "2024-01-31", "text 2"),
    ]
    assert [row.text for row in rows if isinstance(row, Row)] == texts
    assert [row.reason for row in rows if isinstance(row, BadRow)] == [
        "Text is missing",
        "Text is empty",
    ]


def test_rows_of_a_workbook_keep_the_numbers_that_excel_shows(tmp_path: Path) -> None:
    rows = (
        (),
        ("text", "LABEL", None, "note"),
        ("free call", 1, None, DAY),
        (None, None),
        ("now", "ham"),
        (5, "ham"),
        ("a", "ham", None, None, "beyond"),
        (None, "ham"),
    )
    path = write_excel(tmp_path / "a.xlsx", *rows, more_sheets=2)
    said, found = read(path)
    assert said == "a.xlsx is read from its first sheet 'Sheet' of 3, its column 'LABEL' as label"
    assert found[:2] == [Row(0, 3, None, "free call", "1"), Row(1, 5, None, "now", "ham")]
    assert [(row.line, row.reason) for row in found if isinstance(row, BadRow)] == [
        (6, "text is a number, not a string"),
        (7, "5 fields where the header has 4"),
        (8, "text is missing"),
    ]
    assert [row.ordinal for row in read(path, limit=2)[1]] == [0, 1]


def files(folder: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Yield the start of the message for each file that is refused."""
    good = write_parquet(folder / "good.parquet", {"text": ["a"], "label": ["b"]})
    book = write_excel(folder / "good.xlsx", ("text",), ("a",))
    cut = folder / "cut.parquet"
    cut.write_bytes(good.read_bytes()[:-9])
    (folder / "cut.xlsx").write_bytes(book.read_bytes()[:-9])
    body = {"columns": Columns(text="body")}
    empty = write_parquet(folder / "empty.parquet", {"text": pa.array([], pa.string())})
    yield "cut.parquet is not a readable Parquet file: ", cut, {}
    yield "cut.xlsx is not a readable .xlsx file: ", folder / "cut.xlsx", {}
    yield "good.parquet has no column 'body'", good, body
    yield "good.xlsx has no column 'body'", book, body
    yield "empty.parquet holds no row", empty, {}
    yield "header.xlsx holds no row", write_excel(folder / "header.xlsx", ("text",)), {}
    twice = write_excel(folder / "twice.xlsx", ("text", "text"), ("a", "b"))
    yield "twice.xlsx: the column 'text' appears twice", twice, {}
    for path in (good, book):
        yield "--encoding and --delimiter are of text files", path, {"encoding": "cp1252"}


def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    for message, path, choice in files(tmp_path):
        assert refusal(path, **choice).message.startswith(message)


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = write_excel(tmp_path / "a.xlsx", ("text",), ("free call",))
    with patch.object(excel_file, "MAX_PART_BYTES", 100):
        assert "bytes unpacked" in refusal(path).message


@pytest.mark.parametrize("form", ["parquet", "xlsx"])
def test_a_table_is_not_read_from_a_stream(form: str) -> None:
    with stdin(io.BytesIO(b"PAR1")):
        assert "is read from a file" in refusal(Path("-"), format=form).message


@pytest.mark.parametrize(("form", "package"), [("parquet", "pyarrow"), ("xlsx", "openpyxl")])
def test_a_missing_package_is_named(tmp_path: Path, form: str, package: str) -> None:
    (tmp_path / f"a.{form}").write_bytes(b"PAR1")
    with patch.dict(sys.modules, {package: None}):
        refused = refusal(tmp_path / f"a.{form}")
    assert refused.message.endswith(f"is read with {package}, which is not installed")
    assert refused.hint == f"pip install 'saliency-cli[{form}]'"
