"""A format is one object in the registry; it need not store its rows as lines or in order."""

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import Input
from saliency_cli.inputs.byte_streams import FileCursor
from saliency_cli.inputs.dialect import Dialect
from saliency_cli.inputs.formats import FORMATS
from saliency_cli.inputs.formats.interface import ParsedRow, RowReader, Wanted
from saliency_cli.inputs.options import Columns, TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.records import BadRow, Row, RowPosition

MAGIC = b"COLS"


class ColumnReader:
    """Reads rows by number from columns that are in memory."""

    dialect = Dialect()
    notes = ()

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns
        self._count = len(next(iter(columns.values())))

    @property
    def columns(self) -> Sequence[str]:
        return list(self._columns)

    def positions(
        self, every: int, *, limit: int | None, spool: Path | None
    ) -> Generator[RowPosition, None, int]:
        assert spool is None
        count = self._count if limit is None else min(limit, self._count)
        yield from (RowPosition(row, 0, row + 1) for row in range(0, count, every))
        return count

    def rows_from(self, position: RowPosition) -> Iterator[ParsedRow]:
        for row in range(position.ordinal, self._count):
            values = {name: column[row] for name, column in self._columns.items()}
            yield ParsedRow(row + 1, values, None, json.dumps(values).encode(), 1)

    def all_rows(self) -> Iterator[ParsedRow]:
        return self.rows_from(RowPosition(0, 0, 1))


class ColumnFormat:
    """One JSON object of columns, then four bytes by which the format is recognised."""

    suffixes = (".cols",)

    def open(self, data: Input, _wanted: Wanted) -> RowReader:
        if not data.seekable:
            raise UsageError(f"{data.name}: columns are read from a file, not from a stream")
        raw = data.cursor()
        end = raw.seek(-len(MAGIC), io.SEEK_END)
        if raw.read() != MAGIC:
            raise UsageError(f"{data.name} has no footer")
        raw.seek(0)
        return ColumnReader(json.loads(raw.read(end) or b""))


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    with patch.dict(FORMATS, columns=ColumnFormat()):
        yield


def write(path: Path, columns: dict[str, list[Any]]) -> TextsChoice:
    path.write_bytes(json.dumps(columns).encode() + MAGIC)
    return TextsChoice(str(path), columns=Columns(text="body"))


def test_a_column_format_is_read_from_every_position(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"body": ["a", None, "c", "d", "e"], "id": [1, 2, 3, 4, 5]}
    with open_texts(write(tmp_path / "texts.cols", columns)) as source:
        rows = list(source.all_rows())
        positions = list(source.positions(2))
        assert source.count == 5
        assert source.sha256()
        shards = [list(source.rows(position, 2)) for position in positions]
    assert list(itertools.chain(*shards)) == rows
    assert rows[0] == Row(0, 1, "1", "a", size=1)
    assert rows[1] == BadRow(1, 2, "2", "body is missing", '{"body": null, "id": 2}', 1)
    assert [row.ordinal for row in shards[2]] == [4]


def test_a_column_format_checks_the_chosen_columns_and_its_own_footer(tmp_path: Path) -> None:
    choice = write(tmp_path / "texts.cols", {"title": ["a"]})
    with pytest.raises(UsageError, match="no column 'body'") as caught, open_texts(choice):
        pass
    assert caught.value.hint == "its columns are title"
    (tmp_path / "texts.cols").write_bytes(b"{}....")
    with pytest.raises(UsageError, match="no footer"), open_texts(choice):
        pass


def test_the_hint_for_an_unknown_suffix_lists_every_registered_suffix(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").touch()
    with (
        pytest.raises(UsageError, match="suffix") as caught,
        open_texts(TextsChoice(str(tmp_path / "texts.txt"))),
    ):
        pass
    hint = caught.value.hint or ""
    assert all(suffix in hint for each in FORMATS.values() for suffix in each.suffixes)
    assert ".cols" in hint


def test_no_two_formats_have_the_same_suffix() -> None:
    suffixes = [suffix for each in FORMATS.values() for suffix in each.suffixes]
    assert len(suffixes) == len(set(suffixes))


def test_the_registry_imports_neither_torch_nor_the_settings() -> None:
    code = (
        "import sys, saliency_cli.inputs.formats\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'saliency_cli.settings')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_cursor_seeks_like_a_file(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        first, second = FileCursor(file.fileno()), FileCursor(file.fileno(), 5)
        assert (first.read(2), second.read(2), first.read(1)) == (b"01", b"56", b"2")
        assert (first.seek(1, io.SEEK_CUR), first.read()) == (4, b"456789")
        assert (first.seek(-3, io.SEEK_END), first.read()) == (7, b"789")
        assert (first.seek(99), first.read(), first.tell()) == (99, b"", 99)
        with pytest.raises(ValueError, match="negative"):
            first.seek(-1)
