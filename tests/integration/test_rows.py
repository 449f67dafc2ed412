r"""What happens to each kind of row: the table in docs/rows.md and the command line agree."""

import gzip
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import save_file

from saliency_cli.checkpoints.tokenizers import load_tokenizer
from saliency_cli.records import Record
from tests.support.paths import ROOT
from tests.support.runs import read_records
from tests.support.shell import USAGE, Shell

EXPLAINED, QUARANTINED, NO_ROW, REFUSED = "explained", "quarantined", "no row", "exit 2"
DONE_WITH_BAD_ROWS = 4
MIB = 1 << 20
LONG = "free call now " * 71_429


@dataclass(frozen=True, slots=True)
class Case:
    """An unusual input and its expected outcome.

    Attributes:
        name: The first cell of its line in the table of docs/rows.md.
        data: The bytes of the row, or of the whole file.
        outcome: What happens to it: one of the four constants above.
        message: The start of the reason or of the error message.
        rows: The number of records.
        options: More options of the command.
        holes: The size to which a hole extends the file, in bytes.
    """

    name: str
    data: bytes
    outcome: str = QUARANTINED
    message: str = ""
    rows: int = 1
    options: tuple[str, ...] = ()
    holes: int = 0


JSONL = (
    Case(
        "bytes that are not UTF-8", b'{"text": "\xff"}', message="not UTF-8 at byte 11 of the row"
    ),
    Case(r"a lone surrogate, `\ud800`", rb'{"text": "\ud800"}', message="holds a lone surrogate"),
    Case("a NUL character", rb'{"text": "free\u0000call"}', EXPLAINED),
    Case(
        "U+2028 or another Unicode line separator",
        '{"text": "free\u2028call\u2029now\x85ok"}'.encode(),
        EXPLAINED,
    ),
    Case("no text", b'{"id": "x"}', message="text is missing"),
    Case("a text of `null`", b'{"text": null}', message="text is missing"),
    Case("a number as text", b'{"text": 4}', message="text is a number, not a string"),
    Case("a list as text", b'{"text": ["a"]}', message="text is a list, not a string"),
    Case("an empty text", b'{"text": ""}', message="text is empty"),
    Case(
        "a text of only white space, if the tokenizer finds no token in it",
        b'{"text": " "}',
        message="the text has no token",
    ),
    Case(
        "a duplicate key",
        b'{"text": "a", "text": "b"}',
        message="not readable: the key 'text' stands twice",
    ),
    Case("`NaN`", b'{"text": NaN}', message="not readable: NaN is no JSON number"),
    Case(
        "`Infinity`",
        b'{"text": "a", "p": Infinity}',
        message="not readable: Infinity is no JSON number",
    ),
    Case(
        "100,000 nested brackets",
        b"[" * 100_000,
        message="not readable: nested too deeply",
    ),
    Case(
        "an integer of 5,000 digits",
        b'{"text": "a", "n": %s}' % (b"1" * 5000),
        message="not readable",
    ),
    Case("a line that is not JSON", b"free call", message="not JSON"),
    Case("JSON that is not an object", b'["free"]', message="not a JSON object"),
    Case(
        "a line longer than 8 MiB",
        b'{"text": "%s"}' % (b"a" * 8 * MIB),
        message="the line is longer than 8 MiB",
    ),
    Case("a text of a million characters", json.dumps({"text": LONG}).encode(), EXPLAINED),
    Case(
        "a duplicate id",
        b'{"text": "free", "id": 7}\n{"text": "call", "id": 7}',
        EXPLAINED,
        rows=2,
    ),
    Case("a blank line", b" \t", NO_ROW, rows=0),
)
CSV = (
    Case(
        "CSV: a quote that is never closed",
        b'"free,1',
        message="malformed: a quote is never closed",
    ),
    Case(
        "CSV: a quote that is open for more than 10,000 lines",
        b'"free,1\n%s' % (b"call,2\n" * 10_000),
        message="malformed: a quote is not closed within 10,000 lines",
    ),
    Case(
        "CSV: a quote that is open for more than 8 MiB",
        b'"free,1\n%s' % (b"call%s,2\n" % (b" " * MIB) * 9),
        message="malformed: a quote is not closed within 8 MiB",
    ),
    Case(
        "CSV: text after a closing quote",
        b'"free"call,1',
        message="malformed: ',' expected after '\"'",
    ),
    Case("CSV: too few fields", b"free", message="1 fields where the header has 2"),
    Case("CSV: too many fields", b"free,call,1", message="3 fields where the header has 2"),
    Case(
        "CSV: a field longer than 8 MiB",
        b"%s,1" % (b"a" * 8 * MIB),
        message="the line is longer than 8 MiB",
    ),
)
FILES = (
    Case("a byte order mark", '\ufeff{"text": "free"}'.encode(), EXPLAINED),
    Case(
        "carriage returns as line ends",
        b'{"text": "free"}\r{"text": "call"}\r',
        EXPLAINED,
        rows=2,
    ),
    Case(
        "a truncated gzip file",
        gzip.compress(b'{"text": "free"}\n')[:-4],
        message="the input breaks off",
        rows=2,
    ),
    Case(
        "a gzip file of one very long line",
        gzip.compress(b"a" * 64 * MIB),
        message="the line is longer than 8 MiB",
    ),
)
OVERFLOWING = (
    Case(
        "a prediction that is not finite",
        b'{"text": "free"}',
        message="the prediction is not finite",
    ),
    Case(
        "a gradient that is not finite",
        b'{"text": "prize"}',
        message="the gradient is not finite",
    ),
)
REFUSALS = (
    Case(
        "UTF-16",
        '{"text": "a"}'.encode("utf-16"),
        REFUSED,
        "is UTF-16, in which rows cannot be found",
    ),
    Case(
        "CSV: a duplicate column",
        b"text,text\na,b\n",
        REFUSED,
        "the column 'text' appears twice",
        options=("--input-format", "csv"),
    ),
    Case(
        "CSV: a header of empty cells",
        b",\na,b\n",
        REFUSED,
        "the header names no column",
        options=("--input-format", "csv"),
    ),
    Case(
        "a chosen column that no row has",
        b'{"text": "a"}',
        REFUSED,
        "has no column 'body'",
        options=("--text-column", "body"),
    ),
    Case("no row", b"\n", REFUSED, "holds no row"),
    Case(
        "a file of more than 64 MiB of which the disk holds less than a 1000th",
        b'{"text": "a"}\n',
        REFUSED,
        "almost none on the disk",
        holes=1 << 40,
    ),
    Case(
        "bytes that only begin like gzip",
        b"\x1f\x8b, no more",
        REFUSED,
        "is not a readable gzip file",
    ),
)
CASES = (*JSONL, *CSV, *FILES, *OVERFLOWING, *REFUSALS)


def by_name(cases: tuple[Case, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name[:40] for case in cases])


def test_the_docs_list_every_case() -> None:
    page = (ROOT / "docs" / "rows.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", page, re.MULTILINE)
    assert table[2:] == [(case.name, case.outcome, case.message) for case in CASES]


@pytest.fixture(scope="module")
def home(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell.beside(pristine, tmp_path_factory.mktemp("rows") / "home")


def explained(shell: Shell, name: str, data: bytes, *options: str) -> list[Record]:
    """Return the records of a file, after checking the exit code and the ordinals."""
    out = shell.home / f"{name}-out"
    options = ("--samples", "2", *options)
    outcome = shell.explain(*options, texts=shell.write(name, data), out=out)
    records = read_records(out)
    bad = any(record["status"] == "quarantined" for record in records)
    assert outcome.exit_code == (DONE_WITH_BAD_ROWS if bad else 0), outcome.stderr
    assert [record["ordinal"] for record in records] == list(range(len(records)))
    return records


def split_by_case(
    cases: tuple[Case, ...], records: list[Record]
) -> Iterator[tuple[Case, list[Record]]]:
    """Yield each case with its records; a good row comes before each case and after the last."""
    for case in cases:
        separator, case_records = records[0], records[1 : 1 + case.rows]
        assert separator["status"] == "ok"
        yield case, case_records
        records = records[1 + case.rows :]
    assert [record["status"] for record in records] == ["ok"]


def assert_outcome(case: Case, record: Record) -> None:
    assert (record["status"] == "ok") == (case.outcome == EXPLAINED)
    if case.outcome == QUARANTINED:
        assert record["reason"].startswith(case.message)
        assert record["excerpt"].isprintable()
        assert len(record["excerpt"]) < 300


@pytest.fixture(scope="module")
def from_jsonl(home: Shell) -> dict[str, list[Record]]:
    good_row = b'{"text": "free call"}\n'
    data = good_row + b"".join(case.data + b"\n" + good_row for case in JSONL)
    records = explained(home, "cases.jsonl", data)
    return {case.name: case_records for case, case_records in split_by_case(JSONL, records)}


@by_name(JSONL)
def test_the_outcome_of_a_jsonl_line(from_jsonl: dict[str, list[Record]], case: Case) -> None:
    records = from_jsonl[case.name]
    assert len(records) == case.rows
    for record in records:
        assert_outcome(case, record)


def test_a_nul_is_explained_and_shown_as_an_escape(
    home: Shell, from_jsonl: dict[str, list[Record]]
) -> None:
    (record,) = from_jsonl["a NUL character"]
    assert record["text"] == "free\0call"
    page = (home.home / "cases.jsonl-out" / "index.html").read_bytes()
    assert b"\0" not in page
    assert rb"\x00" in page


def test_a_long_text_is_recorded_whole_and_its_start_explained(
    from_jsonl: dict[str, list[Record]],
) -> None:
    (record,) = from_jsonl["a text of a million characters"]
    assert record["text"] == LONG
    assert record["truncated"]
    assert max(end for _, end in record["offsets"]) < 1000


def test_two_rows_with_one_id_have_different_ordinals(from_jsonl: dict[str, list[Record]]) -> None:
    first, second = from_jsonl["a duplicate id"]
    assert first["id"] == second["id"] == "7"
    assert first["ordinal"] + 1 == second["ordinal"]


@by_name(CSV)
def test_the_outcome_of_a_csv_row(home: Shell, case: Case) -> None:
    data = b"text,id\nfree call,0\n%s\nnow,9\n" % case.data
    first, row, *others = explained(home, "cases.csv", data, "--limit", "3", "--overwrite")
    assert first["status"] == "ok"
    assert_outcome(case, row)
    assert row["line"] == 3
    assert all(record["status"] == "ok" for record in others)
    assert others


@by_name(FILES)
def test_the_outcome_of_a_file(home: Shell, case: Case) -> None:
    records = explained(home, "file.jsonl", case.data, "--overwrite")
    assert len(records) == case.rows
    assert_outcome(case, records[-1])


@by_name(OVERFLOWING)
def test_a_number_that_is_not_finite_quarantines_its_row(shell: Shell, case: Case) -> None:
    weights = shell.weights()
    vocabulary = load_tokenizer(shell.model, None).vocab
    embeddings = weights["bert.embeddings.word_embeddings.weight"]
    embeddings[vocabulary["free"]] = 3e38
    embeddings[vocabulary["prize"]] = embeddings[vocabulary["prize"]].sign() * 1e25
    save_file(weights, shell.model / "model.safetensors", metadata={"format": "pt"})
    record, other = explained(shell, "texts.jsonl", case.data + b'\n{"text": "call"}\n')
    assert_outcome(case, record)
    assert other["status"] == "ok"


@by_name(REFUSALS)
def test_an_unusable_input_is_refused(shell: Shell, case: Case) -> None:
    texts = shell.write("texts.jsonl", case.data)
    if case.holes:
        os.truncate(texts, case.holes)
    assert case.message in shell.refused(USAGE, *case.options, texts=texts)
