"""The records in other formats: golden examples, and what no text can do to any of them."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.exports import EXPORTS, tables
from saliency_cli.exports.eraser import document_words
from saliency_cli.exports.github import data, markdown, property_value
from saliency_cli.exports.junit import legal
from saliency_cli.exports.tables import COLUMNS
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun, open_run
from saliency_cli.runs.run_folder import RunFolder
from tests.support.paths import GOLDEN, ROOT
from tests.support.runs import bad_record, manifest, pair_record, record, varied, write_run

TEXTUAL = sorted(name for name, each in EXPORTS.items() if not each.binary)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
any_text = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("=+-@\t\r\n,;:'\"%|<&]")
)
some_text = any_text.filter(lambda text: text.split() == [text.strip()])


def exported(records: list[Record], name: str) -> bytes:
    """Export records that were made by hand."""
    with tempfile.TemporaryDirectory() as folder:
        run = FinishedRun(RunFolder(Path(folder)), manifest(records))
        run.folder.clear()
        with run.folder.record_writer() as writer:
            for each in records:
                writer.write(each)
        return b"".join(EXPORTS[name].export(run))


def export(folder: Path, *options: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["export", str(folder), *map(str, options)])
    assert result.exit_code == code, result.output
    return result


def read_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))


def texts_of(token: str) -> dict[str, Any]:
    """Put a hostile text wherever a record has one."""
    probabilities = {"ham": 0.1, token: 0.9}
    return {"id": token, "predicted": token, "gold": token, "probabilities": probabilities}


@pytest.mark.parametrize("name", TEXTUAL)
def test_the_formats_are_as_they_were(name: str, pytestconfig: pytest.Config) -> None:
    found = exported(varied(), name)
    golden = GOLDEN / f"export-{name}.txt"
    if pytestconfig.getoption("--update-golden"):
        golden.write_bytes(found)
    assert found == golden.read_bytes()


@pytest.mark.parametrize("name", TEXTUAL)
def test_a_file_holds_what_stdout_does(tmp_path: Path, name: str) -> None:
    folder = write_run(tmp_path / "run", varied())
    printed = export(folder, "--format", name).stdout_bytes
    assert export(folder, "--format", name, "--output", tmp_path / "file").stdout == ""
    assert (tmp_path / "file").read_bytes() == printed == exported(varied(), name)


def test_csv_has_a_line_for_every_token_of_every_target() -> None:
    rows = read_csv(exported(varied(), "csv"))
    assert list(rows[0]) == list(COLUMNS)
    expected = sum(
        len(each["tokens"]) * (1 + len(each.get("others", ()))) if each["status"] == "ok" else 1
        for each in varied()
    )
    assert len(rows) == expected
    assert {row["reason"] for row in rows if row["status"] == "quarantined"} == {"text is missing"}


@given(some_text)
def test_no_cell_of_the_csv_can_be_taken_for_a_formula(text: str) -> None:
    made = record(0, text) | texts_of(text)
    for row in read_csv(exported([made], "csv")):
        for name in ("id", "predicted", "gold", "token"):
            cell = row[name]
            assert not cell.startswith(FORMULA)
            assert cell == str(
                made[name] if name != "token" else made["tokens"][int(row["index"])]
            ) or (
                cell.startswith("'")
                and cell[1:].startswith((*FORMULA, "\n", "＝", "＋", "－", "＠"))
            )


def test_numbers_keep_their_sign() -> None:
    made = record(0, "free call")
    made["scores"] = [-0.5, 0.25, -0.25]
    rows = read_csv(exported([made], "csv"))
    assert [float(row["score"]) for row in rows] == made["scores"]


def flat(value: object) -> object:
    return None if value == "" else value


@pytest.mark.parametrize("group", [7, 65_536])
def test_parquet_holds_what_the_lines_do(monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    monkeypatch.setattr(tables, "GROUP", group)
    table = parquet.read_table(io.BytesIO(exported(varied(), "parquet")))
    expected = [
        {name: line.get(name) for name in COLUMNS}
        for each in varied()
        for line in tables.lines(each)
    ]
    assert table.to_pylist() == expected
    kinds = {name: table.schema.field(name).type for name in COLUMNS}
    assert kinds["score"] == pa.float64()
    assert kinds["special"] == pa.bool_()


@given(some_text)
def test_parquet_keeps_every_text(text: str) -> None:
    made = record(0, text) | texts_of(text)
    table = parquet.read_table(io.BytesIO(exported([made], "parquet")))
    assert table["token"].to_pylist() == made["tokens"]
    assert set(table["id"].to_pylist()) == {text}


def test_parquet_needs_a_file_and_says_so(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    result = export(folder, "--format", "parquet", code=2)
    assert "--output" in result.stderr
    assert result.stdout == ""
    export(folder, "--format", "parquet", "--output", tmp_path / "t.parquet")
    assert parquet.read_table(tmp_path / "t.parquet").num_rows > 0


def test_without_pyarrow_the_extra_is_named(tmp_path: Path) -> None:
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


def test_instances_are_the_articles_dictionary() -> None:
    records = varied()
    found = json.loads(exported(records, "instances"))
    explained = [each for each in records if each["status"] == "ok"]
    assert list(found) == [f"instance_{each['ordinal'] + 1}" for each in explained]
    for instance, each in zip(found.values(), explained, strict=True):
        assert instance == {
            "grad_input_1": each["scores"],
            "tokens_input_1": each["tokens"],
            "label_input_1": each["predicted"],
            "prob_input_1": each["probability"],
        }


def test_instances_of_nothing_are_an_object() -> None:
    assert json.loads(exported([bad_record(0)], "instances")) == {}


def test_rows_that_a_format_has_no_place_for_are_told(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    for name in TEXTUAL:
        told = "1 quarantined rows" in export(folder, "--format", name).stderr
        assert told == (name in {"eraser", "instances"})


def scorers_words(text: str) -> list[str]:
    """Divide a document as ERASER's `load_documents` does when it reads it from a file."""
    lines = (line.strip() for line in io.StringIO(text, newline=None))
    return [word for line in lines if line for word in line.split(" ") if word]


@given(any_text)
def test_the_words_of_a_document_are_the_scorers(text: str) -> None:
    assert [text[start:end] for start, end in document_words(text)] == scorers_words(text)


def rationales(made: Record) -> dict[str, Any]:
    instance: dict[str, Any] = json.loads(exported([made], "eraser"))
    return instance


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_a_rationale_is_what_the_scorer_verifies(scores: list[float]) -> None:
    text = " ".join(f"w{number}" for number in range(len(scores)))
    made = record(0, text) | {"scores": [0.0, *scores], "id": None}
    instance = rationales(made)
    (document,) = instance["rationales"]
    assert instance["annotation_id"] == document["docid"] == "0"
    assert document["soft_rationale_predictions"] == pytest.approx(scores, abs=1e-6)
    held: list[int] = []
    for span in document["hard_rationale_predictions"]:
        assert 0 <= span["start_token"] < span["end_token"] <= len(scores)
        held.extend(range(span["start_token"], span["end_token"]))
    assert held == sorted(set(held))
    positive = [score for score in document["soft_rationale_predictions"] if score > 0]
    chosen = sorted((document["soft_rationale_predictions"][word] for word in held), reverse=True)
    assert chosen == sorted(positive, reverse=True)[: len(chosen)]
    assert sum(chosen) >= sum(positive) / 2 - 1e-9
    assert sum(chosen[:-1]) <= sum(positive) / 2 + 1e-9
    assert instance["classification"] in instance["classification_scores"]


def test_the_halves_of_a_pair_are_documents_of_their_own() -> None:
    first, second = rationales(pair_record(7))["rationales"]
    assert (first["docid"], second["docid"]) == ("id-7_premise", "id-7_hypothesis")
    assert first["soft_rationale_predictions"] == [0.05, 0.05, 0.25]
    assert second["soft_rationale_predictions"] == [0.05, 0.05, 0.4]


def test_tokens_of_a_word_are_added_up_and_blanks_before_it_belong_to_none() -> None:
    made = record(0, "x") | {
        "text": " free  call",
        "tokens": [" fr", "ee", "  call"],
        "offsets": [[0, 3], [3, 5], [5, 11]],
        "special": [False] * 3,
        "scores": [0.25, 0.25, 0.5],
        "errors": None,
    }
    (document,) = rationales(made)["rationales"]
    assert document["soft_rationale_predictions"] == [0.5, 0.5]


def parsed_command(line: str) -> tuple[str, dict[str, str], str]:
    """Read a workflow command as the runner does: divide, then undo the escapes."""
    assert line.startswith("::")
    head, message = line[2:].split("::", 1)
    name, _, rest = head.partition(" ")
    properties = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
    for code, character in (("%3A", ":"), ("%2C", ",")):
        properties = {key: value.replace(code, character) for key, value in properties.items()}
    undone = {key: undo(value) for key, value in properties.items()}
    return name, undone, undo(message)


def undo(text: str) -> str:
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


@given(any_text)
def test_a_workflow_command_gives_back_what_went_in(text: str) -> None:
    name, properties, message = parsed_command(
        f"::warning title={property_value(text)}::{data(text)}"
    )
    assert (name, properties, message) == ("warning", {"title": text}, text)
    assert not {"\r", "\n"} & {*data(text)}


@given(some_text)
def test_every_line_for_github_is_one_of_our_commands(text: str) -> None:
    records = [record(0, text) | texts_of(text) | {"gold": "ham"}, record(1, "ok", gold="ham")]
    lines = exported(records, "github").decode().split("\n")
    assert lines.pop() == ""
    assert [parsed_command(line)[0] for line in lines] == ["notice", "warning", "warning"]


def wrong(ordinal: int, probability: float) -> Record:
    return record(ordinal, "free call now", gold="ham", probability=probability)


def test_the_most_confident_mistakes_come_first_and_there_are_ten_at_most() -> None:
    records = [wrong(number, 0.5 + number / 100) for number in range(30)] + [bad_record(30)]
    lines = exported(records, "github").decode().splitlines()
    assert len(lines) == 10
    assert "31 rows, 1 quarantined, accuracy 0.0%25" in lines[0]
    assert [re.findall(r"row (\d+)", line)[0] for line in lines[1:]] == [
        str(number) for number in range(29, 20, -1)
    ]
    few = exported([bad_record(0), wrong(1, 0.6)], "github").decode().splitlines()
    assert "title=wrong prediction::" in few[1]
    assert "title=row not explained::" in few[2]


@given(any_text)
def test_no_text_means_anything_in_markdown(text: str) -> None:
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown(text)) == text
    assert not re.search(r"(?<!\\)(?:\\\\)*(?<!\\)[|<>&*_`\[\]#]", markdown(text))


def test_a_step_summary_is_a_table_and_stays_below_its_limit() -> None:
    worst = "\U000e0001" * 300
    records = [wrong(number, 0.9) | {"id": worst, "text": worst * 9} for number in range(300)]
    for each in records:
        each["offsets"] = [[0, 0], *([n * 100, n * 100 + 100] for n in range(3))]
    content = exported(records, "github-summary")
    assert len(content) < 2**20
    table = [line for line in content.decode().splitlines() if line.startswith("|")]
    assert len(table) == 2 + 9 + 2 + 50
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {3, 5}


def cases(content: bytes) -> Iterator[ET.Element]:
    yield from ET.fromstring(content).iter("testcase")  # noqa: S314 - it is our own


def test_a_test_case_a_row_and_the_totals_add_up() -> None:
    content = exported(varied(), "junit")
    (suite,) = ET.fromstring(content)  # noqa: S314 - it is our own
    assert suite.get("tests") == str(len(varied())) == str(len(list(cases(content))))
    for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.get(name) == str(len(list(suite.iter(element))))
    assert suite.get("errors") == "1"
    assert suite.get("failures") != "0"


@given(any_text.filter(lambda text: text.split() == [text.strip()]))
def test_every_text_leaves_the_xml_well_formed(text: str) -> None:
    made = record(0, text) | texts_of(text) | {"gold": "ham"}
    (case,) = cases(exported([made], "junit"))
    assert case.find("failure") is not None


@given(st.text(st.characters() | st.sampled_from("\x00\x0b\x1b\ufffe\uffff\ud800")))
def test_what_xml_cannot_hold_is_shown_as_an_escape(text: str) -> None:
    shown = legal(text)
    assert not any(c in "\ufffe\uffff" or unicodedata.category(c) == "Cs" for c in shown)
    assert not any(unicodedata.category(c) == "Cc" and c != "\n" for c in shown)


def test_the_end_of_the_reader_is_no_error(tmp_path: Path) -> None:
    records = [record(number, "free call now " * 1) for number in range(2000)]
    folder = write_run(tmp_path / "run", records, html_rows=0)
    command = [sys.executable, "-m", "saliency_cli", "export", str(folder), "--format", "csv"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_74(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    command = [sys.executable, "-m", "saliency_cli", "export", str(folder), "--format", "csv"]
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            command, check=False, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert result.returncode == 74
    assert result.stderr == f"error: standard output cannot be written: {os.strerror(28)}\n"


def test_a_file_that_cannot_be_written_is_74(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    (tmp_path / "taken").mkdir()
    result = export(folder, "--format", "csv", "--output", tmp_path / "taken", code=74)
    assert "taken cannot be written" in result.stderr


def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:  # noqa: S607
        export(folder, "--format", "csv", "--output", pipe)
        assert reader.communicate()[0] == exported(varied(), "csv")
    assert pipe.is_fifo()
    export(folder, "--format", "csv", "--output", os.devnull)
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_memory_does_not_grow_with_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tables, "GROUP", 100)
    _warm_up, few, many = (peak(tmp_path / str(n), n, name) for n in (60, 100, 1000))
    assert many < 1.5 * few + 20_000


def peak(folder: Path, rows: int, name: str) -> int:
    """Measure what an export holds at most, in bytes, after a first one that warms up."""
    records = [wrong(number, number / 2**12) for number in range(rows)]
    run = open_run(write_run(folder, records, html_rows=0))
    tracemalloc.start()
    for _chunk in EXPORTS[name].export(run):
        pass
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_a_damaged_record_leaves_the_file_of_before(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    part = folder / "records" / "part-00000.jsonl"
    part.write_bytes(part.read_bytes()[:-20])
    output = tmp_path / "table.csv"
    output.write_text("before")
    export(folder, "--format", "csv", "--output", output, code=2)
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "table.csv"]


def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    assert "xlsx" in export(folder, "--format", "xlsx", code=2).stderr
