"""`saliency explain` with the sample model: input files, records, pages, messages."""

import csv
import gzip
import io
import json
import os
import pty
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from saliency_cli import __version__
from saliency_cli.cli.app import app
from saliency_cli.records import Record
from tests.support.paths import SAMPLE
from tests.support.runs import read_records

MODEL = SAMPLE / "model.pt"
TEXTS = SAMPLE / "texts.jsonl"
ROWS = [json.loads(line) for line in TEXTS.read_text(encoding="utf-8").splitlines()[:12]]


def explain(*arguments: object, code: int = 0) -> Result:
    """Run `saliency explain` in this process, and check its exit code."""
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def records(out: Path, *arguments: object, code: int = 0) -> list[Record]:
    """Run `saliency explain` into a folder, and return the records it writes."""
    explain(*arguments, "--out", out, code=code)
    return read_records(out)


def delimited(rows: Sequence[dict[str, str]], delimiter: str) -> bytes:
    """Return the rows as a CSV file with this delimiter."""
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue().encode()


@pytest.fixture(scope="module")
def twelve_records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """Return the records of the sample's first twelve texts."""
    out = tmp_path_factory.mktemp("twelve") / "report"
    return records(out, MODEL, TEXTS, "--limit", 12)


def test_sample_is_explained_with_230_of_240_right(tmp_path: Path) -> None:
    out = tmp_path / "report"
    result = explain(MODEL, TEXTS, "--out", out, "--json")
    summary = json.loads(result.stdout)
    assert summary["rows"] == summary["ok"] == 240
    assert summary["accuracy"] == pytest.approx(230 / 240)
    assert [record["ordinal"] for record in read_records(out)] == list(range(240))
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count('class="row') == 240
    assert page.count("✗ wrong") == 10
    assert "95.8 %" in page
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["counts"] == summary


def test_records_hold_the_input_and_offsets_into_it(twelve_records: list[Record]) -> None:
    for row, record in zip(ROWS, twelve_records, strict=True):
        assert (record["text"], record["id"], record["gold"]) == (
            row["text"],
            row["id"],
            row["label"],
        )
        for token, (start, end), special in zip(
            record["tokens"], record["offsets"], record["special"], strict=True
        ):
            if not special and token != "[UNK]":
                assert normalised(record["text"][start:end]) == token.removeprefix("##")


def normalised(text: str) -> str:
    """Return a text as the sample's tokenizer normalises it: lower case, no accents."""
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(c for c in decomposed if unicodedata.category(c) != "Mn")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", delimited(ROWS, ",")),
        ("t.tsv", delimited(ROWS, "\t")),
        ("t.ndjson", "".join(json.dumps(row) + "\n" for row in ROWS).encode()),
        ("t.csv.gz", gzip.compress(delimited(ROWS, ","))),
        ("t.jsonl.gz", gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode())),
    ],
)
def test_every_input_format_gives_the_same_records(
    tmp_path: Path, twelve_records: list[Record], name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert records(tmp_path / "report", MODEL, path) == twelve_records


def test_standard_input_gives_the_same_records(
    tmp_path: Path, twelve_records: list[Record]
) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    out = tmp_path / "report"
    result = CliRunner().invoke(app, ["explain", str(MODEL), "-", "--out", str(out)], input=lines)
    assert result.exit_code == 0, result.output
    assert read_records(out) == twelve_records


def test_columns_may_have_other_names(tmp_path: Path, twelve_records: list[Record]) -> None:
    rows = [{"review": r["text"], "stars": r["label"], "key": r["id"]} for r in ROWS]
    path = tmp_path / "reviews.csv"
    path.write_bytes(delimited(rows, ","))
    names = ("--text-column", "review", "--label-column", "stars", "--id-column", "key")
    assert records(tmp_path / "report", MODEL, path, *names) == twelve_records


def test_gold_labels_are_matched_and_unknown_ones_are_named(tmp_path: Path, write_jsonl) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    known = [1, "1", "spam", " Spam", "SPAM", 1.0, "label_1"]
    unknown = ["eggs", "eggs", "eggs", "<b>", "<b>", "3.5", "4"]
    texts = write_jsonl(*({"text": "free prize", "label": each} for each in (*known, *unknown, "")))
    out = tmp_path / "report"
    result = explain(MODEL, texts, "--out", out, "--json", "--fail-on", "accuracy<0.9", code=1)
    assert [record["gold"] for record in read_records(out)] == ["spam"] * 7 + [*unknown, None]
    summary = json.loads(result.stdout)
    assert [summary[name] for name in ("gold_rows", "gold_known", "accuracy")] == [14, 7, 1.0]
    assert "7 of 14 rows with a gold label have one that" in result.stderr
    assert "leaves them out: eggs (3), <b> (2), 3.5 (1), …\n" in result.stderr
    assert "failed: accuracy could not be measured: it covers 7 of 14 rows with" in result.stderr
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "7</a> of 14 gold labels are none of the model’s" in page
    assert "<bdi>&lt;b&gt;</bdi>" in page
    gate = ("--fail-on", "accuracy<0.9", "--allow-unknown-gold", "--overwrite")
    assert "failed" not in explain(MODEL, texts, "--out", out, *gate).stderr


def test_what_is_found_in_a_file_is_said_recorded_and_compared(tmp_path: Path) -> None:
    texts, out = tmp_path / "texts.csv", tmp_path / "report"
    texts.write_bytes("Text;label\r\nfree café;spam\r\n".encode("cp1252"))
    found = "texts.csv is read as Windows-1252, separated by semicolons, its column 'Text' as text"
    assert f"note: {found}\n" in explain(MODEL, texts, "--out", out).stderr
    recorded = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["input"]
    assert recorded == {"name": "texts.csv", "encoding": "cp1252", "delimiter": ";"}
    (record,) = read_records(out)
    assert (record["text"], record["gold"]) == ("free café", "spam")
    given = ("--encoding", "windows-1252", "--delimiter", ";", "--text-column", "Text")
    assert "note:" not in explain(MODEL, texts, "--out", out, "--overwrite", *given).stderr
    other = explain(MODEL, texts, "--out", out, "--resume", "--encoding", "mac-roman", code=2)
    assert "--encoding was cp1252, and is mac-roman" in other.stderr


def test_folder_and_state_dict_give_the_same_records(tmp_path: Path, bert_folder: Path) -> None:
    from transformers import BertForSequenceClassification  # noqa: PLC0415

    module = BertForSequenceClassification.from_pretrained(bert_folder)
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    files = ("--config", bert_folder, "--tokenizer", bert_folder)
    arguments = (TEXTS, "--limit", 5)
    folder = records(tmp_path / "one", bert_folder, *arguments)
    assert records(tmp_path / "two", tmp_path / "weights.pt", *arguments, *files) == folder


def test_title_and_single_file_are_on_the_page_and_in_the_manifest(tmp_path: Path) -> None:
    out = tmp_path / "report"
    explain(MODEL, TEXTS, "--out", out, "--limit", 3, "--title", "Spam, v2", "--single-file")
    assert "<title>Spam, v2</title>" in (out / "index.html").read_text(encoding="utf-8")
    options = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["options"]
    assert (options["title"], options["single_file"]) == ("Spam, v2", True)


@pytest.mark.parametrize("source", ["{% if %}", "{{ nothing }}", "{{ ''.__class__ }}"])
def test_broken_template_is_refused_before_the_model_is_loaded(tmp_path: Path, source: str) -> None:
    (tmp_path / "rows.html.j2").write_text(source, encoding="utf-8")
    out, model = tmp_path / "report", tmp_path / "no model"
    result = explain(model, TEXTS, "--out", out, "--template-dir", tmp_path, code=2)
    assert "rows.html.j2, line 1" in " ".join(result.stderr.split())
    assert not out.exists()


def test_quarantined_rows_are_in_records_page_summary_and_warning(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b'{"text": "free"}\n{"txt": 4}\n\n{"text": "\xff"}\n{"text": "   "}\nnot\n')
    out = tmp_path / "report"
    result = explain(MODEL, path, "--out", out, "--json", code=4)
    summary = json.loads(result.stdout)
    assert (summary["rows"], summary["ok"], summary["quarantined"]) == (5, 1, 4)
    explained = read_records(out)
    assert [record["status"] for record in explained] == ["ok", *["quarantined"] * 4]
    assert [record["line"] for record in explained[1:]] == [2, 4, 5, 6]
    assert (out / "index.html").read_text(encoding="utf-8").count("not explained") == 4
    assert "4 of 5 rows were not explained" in result.stderr


def test_run_with_quarantined_rows_only_writes_records(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("no\nno\n", encoding="utf-8")
    assert len(records(tmp_path / "report", MODEL, path, code=4)) == 2


def test_stdout_has_data_only_and_quiet_prints_nothing(tmp_path: Path) -> None:
    loud = explain(MODEL, TEXTS, "--limit", 3, "--out", tmp_path / "one")
    assert loud.stdout == ""
    assert "on special tokens" in loud.stderr
    quiet = explain(MODEL, TEXTS, "--limit", 3, "--out", tmp_path / "two", "--quiet")
    assert quiet.output == ""


def test_existing_report_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert len(records(out, MODEL, TEXTS, "--limit", 3)) == 3
    explain(MODEL, TEXTS, "--limit", 2, "--out", out, code=2)
    assert len(read_records(out)) == 3
    assert len(records(out, MODEL, TEXTS, "--limit", 2, "--overwrite")) == 2


def test_preset_is_named_in_manifest_and_page(tmp_path: Path) -> None:
    out = tmp_path / "report"
    explained = records(out, MODEL, TEXTS, "--limit", 3, "--preset", "allennlp")
    assert {record["samples"] for record in explained} == {10}
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["model"]["embedding_layer"] == "bert.embeddings"
    assert (
        manifest["options"]
        | {
            "preset": "allennlp",
            "antithetic": False,
            "objective": "loss",
            "reduction": "sum",
        }
        == manifest["options"]
    )
    assert "allennlp" in (out / "index.html").read_text(encoding="utf-8")


def test_noise_that_changes_predictions_gives_a_warning(tmp_path: Path) -> None:
    out = tmp_path / "report"
    result = explain(MODEL, TEXTS, "--limit", 20, "--noise", 3, "--samples", 8, "--out", out)
    assert "noise changes the prediction" in result.stderr
    assert "noise changes the prediction" in (out / "index.html").read_text(encoding="utf-8")


def test_long_text_is_truncated_and_marked(tmp_path: Path) -> None:
    explained = records(tmp_path / "report", MODEL, TEXTS, "--limit", 12, "--max-length", 8)
    assert {record["truncated"] for record in explained} == {True, False}
    assert all(len(record["tokens"]) <= 8 for record in explained)
    assert "did not see" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.stdout == f"saliency {__version__}\n"


def test_progress_is_shown_on_a_terminal(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "saliency_cli", "explain", str(MODEL), str(TEXTS)]
    options = ["--samples", "8", "--out", str(tmp_path / "report")]
    with subprocess.Popen([*command, *options], stderr=terminal) as process:
        os.close(terminal)
        printed = b"".join(iter(lambda: read_terminal(controller), b"")).decode()
    os.close(controller)
    assert process.returncode == 0
    assert "explaining" in printed
    assert "rows/s" in printed
    assert "100%" in printed


def read_terminal(controller: int) -> bytes:
    """Return the next bytes of a pseudo-terminal, or none if its other end is closed."""
    try:
        return os.read(controller, 4096)
    except OSError:  # EIO: Linux reports a closed other end in this way
        return b""


def test_pairs_windows_and_targets_are_in_records_and_pages(tmp_path: Path) -> None:
    texts = tmp_path / "pairs.csv"
    texts.write_text("first,second,label\nfree call,won a prize,ham\n" + "word " * 300 + ",b,1\n")
    out = tmp_path / "out"
    columns = ("--text-column", "first", "--pair-column", "second")
    explained = records(
        out, MODEL, texts, *columns, "--target", "all", "--stride", 8, "--samples", 2
    )
    assert [each["pair"] for each in explained] == ["won a prize", "b"]
    assert [each["windows"] for each in explained] == [1, 3]
    assert all(len(each["others"]) == 1 for each in explained)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count('class="target"') == 4
    assert "split into 3 windows" in page
