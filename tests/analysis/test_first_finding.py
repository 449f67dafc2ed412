"""The first finding in plain text has the sentences of the page's first screen."""

import json
import re
from html import unescape
from pathlib import Path

import pytest

from saliency_cli.analysis.findings import collect_findings
from saliency_cli.analysis.first_finding import first_finding
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import open_run
from tests.support.predictions import calibrated
from tests.support.runs import bad_record, planted, record, varied, write_run

CHECK = {"word": "free", "spans": [[0, 4]], "probability": 0.2, "by": "mask"}


def plain(page: str) -> str:
    """Return the text of the first screen, without links and with single spaces."""
    start = page.index('<section class="first-look"')
    section = re.sub(r"<[^>]*>", "", page[start : page.index("</section>", start)])
    return " ".join(unescape(section).split())


def weak_slice() -> list[Record]:
    records = [*calibrated(300, seed=0, spread=8)]
    for each in records:
        if each["slices"]["lang"] == "de" and each["ordinal"] % 4 == 0:
            each["gold"] = "spam" if each["gold"] == "ham" else "ham"
    return records


def runs() -> dict[str, list[Record]]:
    gold = [each | {"gold": ("ham", "spam")[n % 2]} for n, each in enumerate(planted())]
    value: dict[str, object] = {
        "predicted": None,
        "probability": None,
        "probabilities": {},
        "value": 1.5,
    }
    return {
        "varied": varied(),
        "planted": [*gold, bad_record(100)],
        "without gold": [*planted()],
        "unknown gold": [record(0, "free call", gold="eggs")],
        "right": [record(n, f"free call {n}", gold="spam", checks=[CHECK]) for n in range(3)],
        "one wrong": [record(0, "free call now", gold="ham", probability=0.99)],
        "regression": [record(0, "as a number", **value, target="stars", gold="3")],
        "quarantined": [bad_record(0)],
        "weak slice": weak_slice(),
    }


@pytest.mark.parametrize("name", runs())
def test_sentences_are_those_of_the_page_and_leave_none_out(tmp_path: Path, name: str) -> None:
    records = runs()[name]
    folder = write_run(tmp_path / "run", records, html_rows=0)
    counts = open_run(folder).manifest["counts"]
    found = collect_findings(map(json.dumps, records), labels=("ham", "spam"), counts=counts)
    shown = plain((folder / "index.html").read_text(encoding="utf-8"))
    for sentence in first_finding(counts, found):
        assert sentence in shown
        shown = shown.replace(sentence, "", 1)
    before, _, _ = shown.partition("Can these explanations be trusted?")
    assert before.replace("What was found", "").strip(". ") == ""
