"""What a page holds of a row is bounded; of an ordinary row it holds all."""

import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.records import Record
from saliency_cli.report.bounds import (
    CUT_CHARACTERS,
    CUT_SPECIAL,
    CUT_TARGETS,
    CUT_TOKENS,
    LABELS_KEPT,
    NAME_CHARACTERS,
    NOTHING_OMITTED,
    WHOLE_LINE,
    bounded,
    cut_name,
)
from saliency_cli.report.row_view import row_view
from saliency_cli.report.search_index import search_entry
from saliency_cli.runs.schema import record_problem
from tests.support.runs import bad_record, pair_record, read_records, record, varied, write_run

LABELS = tuple(f"label {number}" for number in range(5000))
WORDS = 5 * 10**4


def long_record(ordinal: int, *, read: int = WORDS) -> Record:
    """Return the record of a text of 1 MB, whose first words have scores, with 5,000 labels."""
    words = [f"{place:019d}" for place in range(WORDS)][:read]
    return record(ordinal, "x") | {
        "text": " ".join(f"{place:019d}" for place in range(WORDS)),
        "tokens": ["[CLS]", *words, "[SEP]"],
        "offsets": [[0, 0], *([20 * place, 20 * place + 19] for place in range(read)), [0, 0]],
        "special": [True, *(False for _ in words), True],
        "scores": [0.0, *(0.0 for _ in words[:-1]), 1.0, 0.0],
        "errors": [0.001] * (read + 1) + [0.25],
        "probabilities": dict.fromkeys(LABELS, 0.0002),
        "predicted": LABELS[-1],
        "target": LABELS[-1],
        "gold": "g" * 10**5,
        "id": "i" * 10**5,
    }


def test_100_rows_of_1_mb_and_5000_labels_are_a_page_below_5_mb(tmp_path: Path) -> None:
    row = long_record(0, read=512)
    rows = [{**row, "ordinal": each} for each in range(100)]
    model = {"name": "model.pt", "labels": list(LABELS), "max_length": 64}
    run = write_run(tmp_path / "run", rows, model=model)
    assert (run / "index.html").stat().st_size < 5e6
    page = (run / "index.html").read_text(encoding="utf-8")
    assert page.count("more characters in the record</p>") == 100
    assert "and 4,800 more" in page
    line = re.findall(r'<script type="application/json" class="record">(.*)</script>', page)[0]
    assert json.loads(line)["omitted"]["labels"] == 4800
    assert read_records(run)[0]["text"] == rows[0]["text"]


def test_numbers_of_a_cut_row_are_those_of_the_whole_text() -> None:
    whole = long_record(0)
    row = row_view(json.dumps(whole))
    assert row.lead is not None
    assert (row.lead.text, row.lead.score) == (f"{WORDS - 1:019d}", 1.0)
    entry = search_entry(row)
    assert (entry.error, entry.lead, entry.predicted) == (0.25, row.lead.text, LABELS[-1])
    assert len(whole["text"]) == len(row.record["text"]) + row.omitted.characters[0]
    assert len(whole["tokens"]) == len(row.record["tokens"]) + row.omitted.tokens
    assert len(row.record["tokens"]) <= CUT_TOKENS + CUT_SPECIAL
    assert row.labels[0] == (LABELS[-1], 0.0002)


def test_an_ordinary_row_is_whole() -> None:
    for each in varied():
        size = len(json.dumps(each))
        kept, omitted = bounded(each, size=size)
        assert kept is each
        assert omitted is NOTHING_OMITTED


def test_the_cut_record_fits_the_schema_whatever_its_kind() -> None:
    long_text = "word " * 10**5
    for each in (*varied(), pair_record(0), long_record(0), bad_record(0)):
        texts = {name: each[name] + long_text for name in ("text", "pair") if each.get(name)}
        kept, _ = bounded({**each, **texts}, size=WHOLE_LINE + 1)
        assert record_problem(kept) is None
        assert len(json.dumps(kept)) < 50_000
        assert all(len(kept[name]) <= CUT_CHARACTERS for name in texts)


def test_one_token_of_1_mb_is_cut() -> None:
    word = "x" * 10**6
    row = row_view(json.dumps(record(0, word)))
    assert row.record["offsets"] == [[0, 0], [0, CUT_CHARACTERS]]
    assert len(row.record["tokens"][1]) < 2 * NAME_CHARACTERS


def test_targets_beyond_the_first_are_only_in_the_record(tmp_path: Path) -> None:
    one = record(0, "free call now")
    names = ("scores", "errors", "special_share", "samples", "flip_rate", "evaluations")
    other = {name: one[name] for name in names}
    others = [{**other, "target": label} for label in LABELS]
    run = write_run(tmp_path / "run", [{**one, "others": others}])
    page = (run / "index.html").read_text(encoding="utf-8")
    assert page.count("Shading for <bdi>") == CUT_TARGETS
    assert f"… {len(LABELS) - CUT_TARGETS + 1:,} more targets in the record" in page


def test_of_many_labels_the_predicted_the_gold_and_the_most_probable_are_kept() -> None:
    probabilities = {label: place / 10**5 for place, label in enumerate(LABELS)}
    many = record(0, "free", predicted=LABELS[0], gold=LABELS[1], probabilities=probabilities)
    row = row_view(json.dumps(many))
    kept = row.record["probabilities"]
    assert len(kept) == LABELS_KEPT
    assert {*kept} == {*LABELS[:2], *LABELS[2 - LABELS_KEPT :]}
    assert row.record["text"] == many["text"]
    assert row.correct is False


@given(st.lists(st.text(max_size=3), min_size=2, max_size=5, unique=True), st.booleans())
def test_names_stay_different_when_they_are_cut(ends: list[str], are_long: bool) -> None:
    start = "x" * NAME_CHARACTERS if are_long else ""
    names = [start + end for end in ends]
    cut = [cut_name(name) for name in names]
    assert len({*cut}) == len(names)
    assert all(len(each) < NAME_CHARACTERS + 70 for each in cut)
    assert are_long or cut == names
