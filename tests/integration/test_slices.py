"""Slices, several gold labels and gold numbers, from the input to the summary and the gates."""

import json
from pathlib import Path

import pytest

from tests.support.models import save_bert
from tests.support.runs import read_records
from tests.support.shell import DONE, USAGE, Shell, run_here

FAILED = 1
QUICK = ("--method", "gradient", "--check-words", "0", "--quiet")
TEXTS = "text;label;Lang;note\nfree call;spam;de AT;x\ncall now;ham;en;\nfree;spam;;y\n"


def test_a_slice_column_is_in_records_summary_and_page_and_has_gates(shell: Shell) -> None:
    texts = shell.write("texts.csv", TEXTS)
    gates = (
        'rows[Lang="de AT"]<1',
        "rows[ Lang = en ]>0",
        "accuracy[lang=xx]<0.5",
        'ece[note=""]<0',
    )
    options = [word for gate in gates for word in ("--fail-on", gate)]
    columns = ("--slice-column", "lang", "--slice-column", "note")
    outcome = shell.explain(*QUICK, *columns, *options, "--json", texts=texts)
    assert outcome.exit_code == FAILED
    first, second = outcome.stderr.splitlines()
    assert first == "failed: number of rows of Lang en is 1, and must not be above 0"
    assert second == (
        "failed: accuracy of lang xx could not be measured: there is no such slice; there are "
        'length=1-16, script=Latin, Lang="", Lang="de AT", Lang=en, note="", note=x, note=y'
    )
    found = [each["slices"] for each in read_records(shell.out)]
    assert found == [
        {"Lang": lang, "note": n} for lang, n in (("de AT", "x"), ("en", ""), ("", "y"))
    ]
    summary = json.loads(outcome.stdout)
    assert {value: of["rows"] for value, of in summary["slices"]["Lang"].items()} == {
        "": 1,
        "de AT": 1,
        "en": 1,
    }
    assert "<bdi>de AT</bdi>" in (shell.out / "index.html").read_text(encoding="utf-8")


def test_a_slice_column_must_exist(shell: Shell) -> None:
    texts = shell.write("texts.csv", TEXTS)
    message = shell.refused(USAGE, "--slice-column", "language", texts=texts)
    assert "texts.csv has no column 'language'" in message
    assert "its columns are text, label, Lang, note" in message


@pytest.mark.parametrize("gate", ["samples[lang=de]<1", "accuracy[lang]<1", "accuracy[lang=de<1"])
def test_a_gate_on_what_no_slice_has_is_refused(shell: Shell, gate: str) -> None:
    assert "--fail-on" in shell.refused(USAGE, "--fail-on", gate)


def test_figures_are_the_same_for_shards_that_several_processes_explain(
    shell: Shell, tmp_path: Path
) -> None:
    texts = shell.write("texts.csv", TEXTS)
    options = (*QUICK, "--slice-column", "Lang", "--shard-rows", "1")
    assert shell.explain(*options, texts=texts).exit_code == DONE
    shared = tmp_path / "shared"
    for part in ("2/2", "1/2"):
        assert shell.explain(*options, "--shard", part, texts=texts, out=shared).exit_code == DONE
    assert run_here(["report", str(shared), "--quiet"]).exit_code == DONE
    for name in ("manifest.json", "index.html"):
        assert (shared / name).read_bytes() == (shell.out / name).read_bytes()


def test_several_gold_labels_are_read_and_explained(tmp_path: Path) -> None:
    labels = ("angry", "rude", "spam")
    model = save_bert(tmp_path / "m", labels=labels, problem="multi_label_classification")
    shell = Shell(tmp_path)
    golds = ('["spam", "angry"]', '"Rude|spam"', '"rude"', "[]", '"rude, eggs"', "null")
    lines = (f'{{"text": "free call", "label": {gold}}}\n' for gold in golds)
    texts = shell.write("texts.jsonl", "".join(lines))
    outcome = shell.explain(*QUICK, "--json", texts=texts, model=model)
    records, summary = read_records(shell.out), json.loads(outcome.stdout)
    assert [each.get("gold_labels") for each in records] == [
        ["angry", "spam"],
        ["rude", "spam"],
        ["rude"],
        [],
        None,
        None,
    ]
    assert [each["gold"] for each in records[:3]] == [
        '["angry", "spam"]',
        '["rude", "spam"]',
        "rude",
    ]
    assert (summary["gold_rows"], summary["gold_known"]) == (4, 3)
    assert None not in (summary["micro_f1"], summary["exact_match"], summary["labels"])
    assert 'id="weak"' in (shell.out / "index.html").read_text(encoding="utf-8")
    options = (*QUICK, "--target", "gold", "--limit", "2", "--overwrite")
    shell.explain(*options, texts=texts, model=model)
    explained = [
        {each["target"], *(other["target"] for other in each["others"])}
        for each in read_records(shell.out)
    ]
    assert explained == [{"angry", "spam"}, {"rude", "spam"}]


def test_the_gold_number_of_a_regression_is_no_index_of_a_label(tmp_path: Path) -> None:
    model = save_bert(tmp_path / "m", labels=("LABEL_0",), problem="regression")
    shell = Shell(tmp_path)
    texts = shell.write("t.jsonl", '{"text": "free", "label": 0}\n{"text": "call", "label": 2.5}\n')
    summary = json.loads(shell.explain(*QUICK, "--json", texts=texts, model=model).stdout)
    records = read_records(shell.out)
    assert [each["gold"] for each in records] == ["0", "2.5"]
    errors = [abs(each["value"] - float(each["gold"])) for each in records]
    assert summary["mae"] == pytest.approx(sum(errors) / 2, rel=1e-6)
    assert "Predicted value against gold number" in (shell.out / "index.html").read_text("utf-8")
