"""`Run`: a finished run read from its folder, and its data frames."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from saliency_cli import Explanation, QuarantinedRow, Run, UsageError
from saliency_cli.records import Record
from tests.support.runs import read_records, varied, write_run
from tests.support.shell import USAGE, run_here
from tests.support.trees import tree


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A run with a row of each kind, the ordinals in order."""
    records = [{**each, "ordinal": at} for at, each in enumerate(varied())]
    records[1]["slices"] = {"lang": "de"}
    return write_run(tmp_path / "run", records)


def text_of(page: str) -> str:
    """Return the text of a page without its style and scripts, each white space as one blank."""
    parts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = parts.append  # type: ignore[assignment, method-assign]
    parser.feed(page.partition("</style>")[2])
    return " ".join("".join(parts).split())


def test_a_run_has_its_records_figures_and_explanations(checkout: Path) -> None:
    folder = checkout / "report"
    before = tree(folder)
    run, records = Run.open(folder), read_records(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert [*run.records()] == records
    assert (run.manifest, run.labels, len(run)) == (manifest, ("ham", "spam"), 240)
    assert run.summary.accuracy == manifest["counts"]["accuracy"]
    assert [each.to_dict() for each in run] == records
    for ordinal in (0, 99, 100, 239):
        assert run.explanation(ordinal).to_dict() == records[ordinal]
    assert repr(run) == "<Run of model.pt: 240 rows>"
    assert tree(folder) == before


def test_the_findings_are_those_of_the_report(checkout: Path) -> None:
    folder = checkout / "report"
    found = Run.open(folder).findings
    page = text_of((folder / "index.html").read_text(encoding="utf-8"))
    assert len(found.sentences) >= 4
    assert found.sentences[0] == "10 of 240 predictions are wrong. Accuracy 95.8 %"
    for sentence in found.sentences:
        assert sentence in page
    entries = json.loads((folder / "suspects.json").read_text(encoding="utf-8"))
    assert [each.check for each in found.suspects] == entries
    assert [([*each.words], each.label) for each in found.suspects] == [
        (entry["words"], entry["label"]) for entry in entries
    ]
    assert {*found.words} == {"ham", "spam"}
    assert found.words["ham"][0] == "i"


def test_hostile_words_are_plain_text_in_the_findings(made: Path) -> None:
    sentences = "\n".join(Run.open(made).findings.sentences)
    assert "&lt;" not in sentences
    assert "<b>x</b>" in sentences or "<u>y</u>" in sentences or "1 row could not" in sentences


def test_a_row_of_each_kind_is_explained_or_says_why_not(made: Path) -> None:
    run = Run.open(made)
    kinds = [type(each) for each in run]
    assert kinds == [QuarantinedRow if at == 3 else Explanation for at in range(len(kinds))]
    assert [type(run.explanation(at)) for at in range(len(run))] == kinds
    for ordinal in (-1, len(run)):
        with pytest.raises(UsageError, match=f"there is no row {ordinal}") as caught:
            run.explanation(ordinal)
        assert caught.value.__notes__ == [f"hint: give 0 to {len(run) - 1}"]


def test_a_frame_has_a_line_for_each_row(made: Path) -> None:
    records = read_records(made)
    frame = Run.open(made).to_pandas()
    assert [*frame["ordinal"]] == [each["ordinal"] for each in records]
    for name in ("text", "predicted", "probability", "value", "gold", "target", "flip_rate"):
        expected = [each.get(name) for each in records]
        assert [None if pd.isna(value) else value for value in frame[name]] == expected
    assert [*frame["status"]].count("quarantined") == 1
    assert frame.loc[3, "reason"] == "text is missing"
    assert frame.loc[1, "slice.lang"] == "de"
    assert [frame.loc[at, "correct"] for at in (0, 1)] == [True, False]
    assert pd.isna(frame.loc[2, "correct"])
    assert (frame.loc[0, "word"], frame.loc[0, "share"]) == ("now", records[0]["scores"][-1])


def test_a_frame_of_tokens_is_the_export_csv(made: Path, tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    run_here(["export", str(made), "--format", "csv", "--output", str(file)])
    frame = Run.open(made).to_pandas(tokens=True)
    exported = pd.read_csv(file, dtype=dict.fromkeys(frame, str), keep_default_na=False)
    assert [*frame] == [*exported]
    shown = frame.map(lambda value: "" if pd.isna(value) else value)
    for name in ("ordinal", "token", "start", "end", "target", "reason", "segment"):
        assert [*map(str, shown[name])] == [*exported[name]], name
    for name in ("score", "error", "probability"):
        assert [value or "0" for value in map(str, exported[name]) if value] == [
            repr(float(value)) for value in frame[name].dropna()
        ]


def test_frames_need_pandas(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="needs pandas, which is not installed") as caught:
        Run.open(made).to_pandas()
    assert caught.value.__notes__ == ["hint: pip install 'saliency-cli[pandas]'"]


def test_what_report_refuses_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        Run.open(tmp_path / "nothing")
    part = made / "records" / "part-00000.jsonl"
    lines = part.read_text(encoding="utf-8").splitlines(keepends=True)
    broken: Record = json.loads(lines[1])
    broken["scores"] = broken["scores"][:-1]
    part.write_text("".join([lines[0], json.dumps(broken) + "\n", *lines[2:]]), encoding="utf-8")
    assert run_here(["report", str(made)]).exit_code == USAGE
    run = Run.open(made)  # the run has no hashes, as one of an older version
    assert run.explanation(0).explained
    with pytest.raises(UsageError, match="line 2"):
        run.explanation(1)
    with pytest.raises(UsageError, match="line 2"):
        list(run)
