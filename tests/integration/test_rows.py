r"""What becomes of each kind of row, as the docs tell it and as the command line does it."""

import gzip
import json
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
    """Something odd in an input, what becomes of it, and how that is told."""

    name: str
    data: bytes
    becomes: str = QUARANTINED
    told: str = ""
    rows: int = 1
    options: tuple[str, ...] = ()


JSONL = (
    Case("bytes that are no UTF-8", b'{"text": "\xff"}', told="not UTF-8 at byte 11 of the row"),
    Case(r"a lone surrogate, `\ud800`", rb'{"text": "\ud800"}', told="holds a lone surrogate"),
    Case("a NUL character", rb'{"text": "free\u0000call"}', EXPLAINED),
    Case(
        "U+2028 or another Unicode line separator",
        '{"text": "free\u2028call\u2029now\x85ok"}'.encode(),
        EXPLAINED,
    ),
    Case("no text", b'{"id": "x"}', told="text is missing"),
    Case("a text of `null`", b'{"text": null}', told="text is missing"),
    Case("a number for a text", b'{"text": 4}', told="text is a number, not a string"),
    Case("a list for a text", b'{"text": ["a"]}', told="text is a list, not a string"),
    Case("an empty text", b'{"text": ""}', told="text is empty"),
    Case(
        "a text of white space alone, if the tokenizer finds nothing in it",
        b'{"text": " "}',
        told="the text has no token",
    ),
    Case(
        "a key that stands twice",
        b'{"text": "a", "text": "b"}',
        told="not readable: the key 'text' stands twice",
    ),
    Case("`NaN`", b'{"text": NaN}', told="not readable: NaN is no JSON number"),
    Case(
        "`Infinity`",
        b'{"text": "a", "p": Infinity}',
        told="not readable: Infinity is no JSON number",
    ),
    Case(
        "100,000 brackets in one another",
        b"[" * 100_000,
        told="not readable: nested too deeply",
    ),
    Case(
        "an integer of 5,000 digits",
        b'{"text": "a", "n": %s}' % (b"1" * 5000),
        told="not readable",
    ),
    Case("a line that is no JSON", b"free call", told="not JSON"),
    Case("JSON that is no object", b'["free"]', told="not a JSON object"),
    Case(
        "a line longer than 8 MiB",
        b'{"text": "%s"}' % (b"a" * 8 * MIB),
        told="the line is longer than 8 MiB",
    ),
    Case("a text of a million characters", json.dumps({"text": LONG}).encode(), EXPLAINED),
    Case(
        "an id that stands twice",
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
        told="malformed: a quote is never closed",
    ),
    Case(
        "CSV: a quote that goes on for over 10,000 lines",
        b'"free,1\n%s' % (b"call,2\n" * 10_000),
        told="malformed: a quote is not closed within 10,000 lines",
    ),
    Case(
        "CSV: a quote that goes on for over 8 MiB",
        b'"free,1\n%s' % (b"call%s,2\n" % (b" " * MIB) * 9),
        told="malformed: a quote is not closed within 8 MiB",
    ),
    Case(
        "CSV: text behind a closing quote",
        b'"free"call,1',
        told="malformed: ',' expected after '\"'",
    ),
    Case("CSV: too few fields", b"free", told="1 fields where the header has 2"),
    Case("CSV: too many fields", b"free,call,1", told="3 fields where the header has 2"),
    Case(
        "CSV: a field longer than 8 MiB",
        b"%s,1" % (b"a" * 8 * MIB),
        told="the line is longer than 8 MiB",
    ),
)
FILES = (
    Case("a byte order mark", '\ufeff{"text": "free"}'.encode(), EXPLAINED),
    Case(
        "carriage returns alone for line ends",
        b'{"text": "free"}\r{"text": "call"}\r',
        EXPLAINED,
        rows=2,
    ),
    Case(
        "gzip that breaks off",
        gzip.compress(b'{"text": "free"}\n')[:-4],
        told="the input breaks off",
        rows=2,
    ),
    Case(
        "gzip of one endless line",
        gzip.compress(b"a" * 64 * MIB),
        told="the line is longer than 8 MiB",
    ),
)
OVERFLOWING = (
    Case(
        "a prediction that is not finite",
        b'{"text": "free"}',
        told="the prediction is not finite",
    ),
    Case(
        "a gradient that is not finite",
        b'{"text": "prize"}',
        told="the gradient is not finite",
    ),
)
REFUSALS = (
    Case("UTF-16", '{"text": "a"}'.encode("utf-16"), REFUSED, "is UTF-16, and only UTF-8 is read"),
    Case(
        "CSV: a column that stands twice",
        b"text,text\na,b\n",
        REFUSED,
        "the column 'text' stands twice",
        options=("--input-format", "csv"),
    ),
    Case(
        "a column asked for that no row has",
        b'{"text": "a"}',
        REFUSED,
        "has no column 'body'",
        options=("--text-column", "body"),
    ),
    Case("no row", b"\n", REFUSED, "holds no row"),
    Case("what only begins like gzip", b"\x1f\x8b, no more", REFUSED, "is no readable gzip file"),
)
CASES = (*JSONL, *CSV, *FILES, *OVERFLOWING, *REFUSALS)


def by_name(cases: tuple[Case, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name[:40] for case in cases])


def test_the_docs_tell_what_becomes_of_each() -> None:
    page = (ROOT / "docs" / "rows.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", page, re.MULTILINE)
    assert table[2:] == [(case.name, case.becomes, case.told) for case in CASES]


@pytest.fixture(scope="module")
def home(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell.beside(pristine, tmp_path_factory.mktemp("rows") / "home")


def explained(shell: Shell, name: str, data: bytes, *options: str) -> list[Record]:
    """Explain a file that has bad rows or none, and return its records."""
    out = shell.home / f"{name}-out"
    options = ("--samples", "2", *options)
    outcome = shell.explain(*options, texts=shell.write(name, data), out=out)
    records = read_records(out)
    bad = any(record["status"] == "quarantined" for record in records)
    assert outcome.exit_code == (DONE_WITH_BAD_ROWS if bad else 0), outcome.stderr
    assert [record["ordinal"] for record in records] == list(range(len(records)))
    return records


def placed(cases: tuple[Case, ...], records: list[Record]) -> Iterator[tuple[Case, list[Record]]]:
    """Yield each case with its records; a record of a sound row comes before each, and at last."""
    for case in cases:
        between, own = records[0], records[1 : 1 + case.rows]
        assert between["status"] == "ok"
        yield case, own
        records = records[1 + case.rows :]
    assert [record["status"] for record in records] == ["ok"]


def assert_became(case: Case, record: Record) -> None:
    assert (record["status"] == "ok") == (case.becomes == EXPLAINED)
    if case.becomes == QUARANTINED:
        assert record["reason"].startswith(case.told)
        assert record["excerpt"].isprintable()
        assert len(record["excerpt"]) < 300


@pytest.fixture(scope="module")
def from_jsonl(home: Shell) -> dict[str, list[Record]]:
    sound = b'{"text": "free call"}\n'
    data = sound + b"".join(case.data + b"\n" + sound for case in JSONL)
    records = explained(home, "cases.jsonl", data)
    return {case.name: own for case, own in placed(JSONL, records)}


@by_name(JSONL)
def test_what_becomes_of_a_line_of_jsonl(from_jsonl: dict[str, list[Record]], case: Case) -> None:
    records = from_jsonl[case.name]
    assert len(records) == case.rows
    for record in records:
        assert_became(case, record)


def test_a_nul_is_explained_and_shown_as_an_escape(
    home: Shell, from_jsonl: dict[str, list[Record]]
) -> None:
    (record,) = from_jsonl["a NUL character"]
    assert record["text"] == "free\0call"
    page = (home.home / "cases.jsonl-out" / "index.html").read_bytes()
    assert b"\0" not in page
    assert rb"\x00" in page


def test_a_long_text_is_kept_whole_and_its_start_explained(
    from_jsonl: dict[str, list[Record]],
) -> None:
    (record,) = from_jsonl["a text of a million characters"]
    assert record["text"] == LONG
    assert record["truncated"]
    assert max(end for _, end in record["offsets"]) < 1000


def test_two_rows_with_one_id_are_told_apart(from_jsonl: dict[str, list[Record]]) -> None:
    first, second = from_jsonl["an id that stands twice"]
    assert first["id"] == second["id"] == "7"
    assert first["ordinal"] + 1 == second["ordinal"]


@by_name(CSV)
def test_what_becomes_of_a_row_of_csv(home: Shell, case: Case) -> None:
    data = b"text,id\nfree call,0\n%s\nnow,9\n" % case.data
    first, row, *others = explained(home, "cases.csv", data, "--limit", "3", "--overwrite")
    assert first["status"] == "ok"
    assert_became(case, row)
    assert row["line"] == 3
    assert all(record["status"] == "ok" for record in others)
    assert others


@by_name(FILES)
def test_what_becomes_of_a_file(home: Shell, case: Case) -> None:
    records = explained(home, "file.jsonl", case.data, "--overwrite")
    assert len(records) == case.rows
    assert_became(case, records[-1])


@by_name(OVERFLOWING)
def test_a_number_that_is_not_finite_costs_its_row(shell: Shell, case: Case) -> None:
    weights = shell.weights()
    vocabulary = load_tokenizer(shell.model, None).vocab
    embeddings = weights["bert.embeddings.word_embeddings.weight"]
    embeddings[vocabulary["free"]] = 3e38
    embeddings[vocabulary["prize"]] = embeddings[vocabulary["prize"]].sign() * 1e25
    save_file(weights, shell.model / "model.safetensors", metadata={"format": "pt"})
    record, other = explained(shell, "texts.jsonl", case.data + b'\n{"text": "call"}\n')
    assert_became(case, record)
    assert other["status"] == "ok"


@by_name(REFUSALS)
def test_what_is_refused(shell: Shell, case: Case) -> None:
    texts = shell.write("texts.jsonl", case.data)
    assert case.told in shell.refused(USAGE, *case.options, texts=texts)
