"""Files as people have them: what is read and what is said of it, or why they are refused."""

import gzip
import re
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saliency_cli.errors import UsageError
from saliency_cli.inputs.dialect import parse_delimiter, parse_encoding
from saliency_cli.inputs.options import Columns, TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.records import BadRow, Row
from tests.support.paths import ROOT

ROWS: list[tuple[str, str] | str] = [("schöne Grüße", "ham"), ("déjà vu; a|b, c", "spam")]
ENGLISH = "text,label\r\nfree call,ham\r\n"


def table(delimiter: str = ",", header: tuple[str, str] = ("text", "label")) -> str:
    """Return `ROWS` as Excel writes them."""
    quoted = [(f'"{row[0]}"', row[1]) for row in ROWS]
    return "".join(delimiter.join(cells) + "\r\n" for cells in (header, *quoted))


@dataclass(frozen=True, slots=True)
class Case:
    """A file and its verdict.

    Attributes:
        name: The first cell of its line in the table of docs/rows.md.
        data: The bytes.
        said: The second cell: what is said of the file, or why it is refused.
        rows: Texts and gold labels; of a quarantined row the reason. None if it is refused.
        file: The file's name.
        choice: The options.
    """

    name: str
    data: bytes
    said: str = ""
    rows: list[tuple[str, str] | str] | None = field(default_factory=ROWS.copy)
    file: str = "a.csv"
    choice: dict[str, Any] = field(default_factory=dict)


HINT = "a file from Windows needs --encoding cp1252"
CASES = (
    Case("UTF-8", table().encode()),
    Case("UTF-8 with a byte order mark", table().encode("utf-8-sig")),
    Case("Windows-1252", table().encode("cp1252"), "as Windows-1252"),
    Case(
        "Excel in German", table(";").encode("cp1252"), "as Windows-1252, separated by semicolons"
    ),
    Case("Excel’s line `sep=;`", f"sep=;\r\n{table(';')}".encode(), "separated by semicolons"),
    Case("Excel’s line `sep=,`", f'"sep=,"\r\n{table()}'.encode()),
    Case("a .csv of tabs", table("\t").encode(), "separated by tabs"),
    Case("a .tsv of commas", table().encode(), "separated by commas", file="a.tsv"),
    Case("cells between bars", table("|").encode(), "separated by bars"),
    Case(
        "a comma in the header of semicolons",
        table(";", header=("text", "label, gold")).encode(),
        "separated by semicolons",
        choice={"columns": Columns(label="label, gold")},
    ),
    Case(
        "a semicolon in the header of commas",
        table(header=("text", "label;gold")).encode(),
        choice={"columns": Columns(label="label;gold")},
    ),
    Case(
        "Windows-1252, compressed",
        gzip.compress(table().encode("cp1252")),
        "as Windows-1252",
        file="a.csv.gz",
    ),
    Case(
        "columns in capitals",
        table(header=("Text", " LABEL")).encode(),
        "its column 'Text' as text, its column ' LABEL' as label",
    ),
    Case(
        "a column in capitals, in JSONL",
        b'{"TEXT": "free", "label": "ham"}',
        "its column 'TEXT' as text",
        [("free", "ham")],
        file="a.jsonl",
    ),
    Case(
        "two columns that differ in case",
        table(header=("Text", "TEXT")).encode(),
        "exit 2: a.csv has no column 'text'",
        None,
    ),
    Case(
        "UTF-8 with a damaged row",
        table().encode() + b"caf\xe9,ham\r\n",
        "",
        [*ROWS, f"not UTF-8 at byte 4 of the row; {HINT}"],
    ),
    Case(
        "Windows-1252 after a thousand lines of English",
        (ENGLISH + "call,ham\r\n" * 1000 + "café,ham\r\n").encode("cp1252"),
        "",
        [
            ("free call", "ham"),
            *[("call", "ham")] * 1000,
            f"not UTF-8 at byte 4 of the row; {HINT}",
        ],
    ),
    Case(
        "Windows-1252 in JSONL",
        '{"text": "café"}'.encode("cp1252"),
        "",
        [f"not UTF-8 at byte 14 of the row; {HINT}"],
        file="a.jsonl",
    ),
    Case(
        "bytes that Windows-1252 does not have",
        ENGLISH.encode() + b"\x81,ham\r\n",
        "",
        [("free call", "ham"), f"not UTF-8 at byte 1 of the row; {HINT}"],
    ),
    Case(
        "`--encoding mac-roman`",
        table().encode("mac-roman"),
        choice={"encoding": parse_encoding("mac-roman")},
    ),
    Case(
        "`--encoding cp1252` with JSONL",
        '{"text": "café", "label": "ham"}'.encode("cp1252"),
        "",
        [("café", "ham")],
        file="a.jsonl",
        choice={"encoding": "cp1252"},
    ),
    Case(
        "`--encoding cp1252` of a row that it cannot read",
        ENGLISH.encode() + b"\x81,ham\r\n",
        "",
        [("free call", "ham"), "not cp1252: it has a byte without a character"],
        choice={"encoding": "cp1252"},
    ),
    Case("`--delimiter '#'`", table("#").encode(), choice={"delimiter": "#"}),
    Case(
        "`--delimiter ';'` with JSONL",
        b'{"text": "free"}',
        "exit 2: --delimiter fits csv and tsv alone",
        None,
        file="a.jsonl",
        choice={"delimiter": ";"},
    ),
    Case(
        "Unicode text of Excel (UTF-16)",
        table("\t").encode("utf-16"),
        "exit 2: a.tsv is UTF-16, in which rows cannot be found",
        None,
        file="a.tsv",
    ),
)


def read(path: Path, **choice: Any) -> tuple[str, list[tuple[str, str | None] | str]]:  # noqa: ANN401
    """Return what is said of a file, and its rows read shard by shard."""
    with open_texts(TextsChoice(str(path), **choice)) as source:
        whole = [*source.all_rows()]
        shards = [[*source.rows(position, 2)] for position in [*source.positions(2)][::-1]]
        assert [row for shard in shards[::-1] for row in shard] == whole
        said = (source.found or "").removeprefix(f"{path.name} is read ")
    return said, [row.reason if isinstance(row, BadRow) else (row.text, row.gold) for row in whole]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_file_is_read_as_what_it_is_and_the_reader_is_told(tmp_path: Path, case: Case) -> None:
    path = tmp_path / case.file
    path.write_bytes(case.data)
    if case.rows is None:
        with pytest.raises(UsageError) as caught:
            read(path, **case.choice)
        assert f"exit 2: {caught.value.message}" == case.said
        assert caught.value.hint
        return
    said, rows = read(path, **case.choice)
    assert said == case.said
    assert len(rows) == len(case.rows)
    for row, expected in zip(rows, case.rows, strict=True):
        assert row == expected or (isinstance(expected, str) and str(row).startswith(expected))


def test_the_docs_list_every_file() -> None:
    page = (ROOT / "docs" / "rows.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| ([^|]+) \| ([^|]*?) ?\|$", page, re.MULTILINE)
    assert listed[2:] == [(case.name, case.said) for case in CASES]


@given(st.text(st.characters(codec="cp1252", exclude_characters="\r\n"), min_size=1))
@example("ï»¿")
def test_any_text_is_read_back_in_the_encoding_that_was_given(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes('text\n"{}"\n'.format(text.replace('"', '""')).encode("cp1252"))
        with open_texts(TextsChoice(str(path), encoding="cp1252")) as source:
            (row,) = source.all_rows()
    assert isinstance(row, Row)
    assert row.text == text


@pytest.mark.parametrize("name", ["utf-16", "utf-7", "cp500", "hex", "nope", "a\0b"])
def test_an_encoding_in_which_lines_cannot_be_found_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--encoding"):
        parse_encoding(name)


@pytest.mark.parametrize("text", ["", ";;", "\n", '"', "tabs"])
def test_a_delimiter_is_one_character(text: str) -> None:
    with pytest.raises(UsageError, match="--delimiter"):
        parse_delimiter(text)
    assert parse_delimiter("tab") == parse_delimiter(r"\t") == "\t"
