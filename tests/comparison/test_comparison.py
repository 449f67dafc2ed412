"""`saliency compare`: every figure equals one that is computed from the records directly."""

import json
import tracemalloc
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saliency_cli.analysis.suspect_checks import Flips, SuspectCheck
from saliency_cli.comparison.folder import ComparisonFolder
from saliency_cli.comparison.suspect_changes import suspect_changes
from saliency_cli.comparison.verdict import verdict
from saliency_cli.records import Record
from tests.support.comparisons import changed_runs, compare, compared, labelled, write_page
from tests.support.paths import GOLDEN
from tests.support.runs import record, write_run

LABELS = ("ham", "spam")
ROW = st.tuples(
    st.sampled_from(LABELS),
    st.sampled_from(LABELS),
    st.sampled_from((*LABELS, None, "other")),
    st.floats(0.5, 1),
    st.floats(0.5, 1),
    st.sampled_from("xy"),
)


def runs_of(rows: list[Any]) -> tuple[list[Record], list[Record]]:
    """Return two runs over the same texts."""
    before, after = [], []
    for number, (old, new, gold, old_p, new_p, part) in enumerate(rows):
        own = {"gold": gold, "slices": {"part": part}}
        before.append(labelled(number, f"text {number}", old, old_p, **own))
        after.append(labelled(number, f"text {number}", new, new_p, **own))
    return before, after


@settings(max_examples=25, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=30))
def test_figures_equal_a_direct_computation(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any]
) -> None:
    result = compared(tmp_path_factory.mktemp("runs"), *runs_of(rows)).result
    judged = [row for row in rows if row[2] in LABELS]
    assert result["flipped"] == sum(old != new for old, new, *_ in rows)
    assert result["broken"] == sum(old == gold != new for old, new, gold, *_ in judged)
    assert result["fixed"] == sum(new == gold != old for old, new, gold, *_ in judged)
    assert result["gold_known"] == len(judged)
    for name, side in (("accuracy_before", 0), ("accuracy_after", 1)):
        right = sum(row[side] == row[2] for row in judged)
        assert result[name] == (pytest.approx(right / len(judged)) if judged else None)
    shifts = [(p if new == old else 1 - p) - q for old, new, _, q, p, _ in rows]
    assert result["mean_probability_shift"] == pytest.approx(sum(shifts) / len(rows), abs=1e-6)
    for value, figures in result["slices"].get("part", {}).items():
        own = [row for row in judged if row[5] == value]
        assert figures["broken"] == sum(old == gold != new for old, new, gold, *_ in own)
        assert figures["gold_known"] == len(own)


def test_the_mean_distance_is_that_of_the_rows_with_one_target(tmp_path: Path) -> None:
    before, after = changed_runs()
    result = compared(tmp_path, before, after).result
    rows = [*ComparisonFolder(tmp_path / "compared").read_rows()]
    distances = [row["distance"] for row in rows if row["distance"] is not None]
    assert result["compared"] == len(distances) == 2  # rows 4 and 5
    assert result["mean_distance"] == pytest.approx(sum(distances) / 2, rel=1e-6)
    changes = [after[4]["scores"][n] - before[4]["scores"][n] for n in range(1, 7)]
    assert distances[0] == pytest.approx(sum(map(abs, changes)) / 2, rel=1e-6)


def test_every_row_of_either_run_has_one_line(tmp_path: Path) -> None:
    compared(tmp_path, *changed_runs())
    rows = [*ComparisonFolder(tmp_path / "compared").read_rows()]
    kinds = {row["id"]: row["change"] for row in rows}
    assert [*kinds.values()] == [
        *("broken", "fixed", "flipped", "newly quarantined", "same", "same"),
        *("only before", "only after"),
    ]
    assert [row["moved"] for row in rows] == [False] * 4 + [True] + [False] * 3
    words = {row["change"]: (row["words_by_size"], len(row["words"])) for row in rows[:3]}
    assert words == {"broken": (True, 0), "fixed": (True, 0), "flipped": (True, 0)}


@pytest.mark.parametrize("first", [0, 1])
def test_a_method_that_differs_leaves_the_predictions_comparable(
    tmp_path: Path, first: int
) -> None:
    folders = [
        write_run(tmp_path / "a", changed_runs()[0], html_rows=0),
        write_run(tmp_path / "b", changed_runs()[1], html_rows=0, reduction="dot"),
    ]
    result = compare(folders[first], folders[1 - first], "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "comparison.json").read_bytes())
    assert found["flipped"] == 3
    assert found["mean_distance"] is None
    assert "The explanations cannot be compared: --reduction is" in " ".join(found["verdict"])
    gated = compare(
        *folders, "--out", tmp_path / "out", "--overwrite", "--fail-on", "mean_distance>1"
    )
    assert gated.exit_code == 1
    assert "could not be measured" in gated.output


def test_the_same_command_twice_gives_the_same_bytes_and_gates_decide(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, records, html_rows=0)
        for name, records in zip(("a", "b"), changed_runs(), strict=True)
    ]
    outs = [tmp_path / "one", tmp_path / "two"]
    codes = [
        compare(*runs, "--out", out, "--fail-on", "broken>0", "--fail-on", "fixed<1").exit_code
        for out in outs
    ]
    assert codes == [1, 1]
    files = [{path.name: path.read_bytes() for path in out.iterdir()} for out in outs]
    assert files[0] == files[1]
    assert {*files[0]} == {"index.html", "comparison.json", "rows.jsonl"}
    assert str(tmp_path).encode() not in b"".join(files[0].values())
    assert compare(*runs, "--out", outs[0]).exit_code == 2  # it holds a comparison
    slices = ("--fail-on", "broken[lang=de]>0")
    assert compare(*runs, "--out", outs[0], "--overwrite", *slices).exit_code == 1
    better = compare(runs[1], runs[0], "--out", outs[0], "--overwrite", "--fail-on", "broken>1")
    assert better.exit_code == 0, better.output


def test_files_of_others_are_kept(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, [record(0, "one")], html_rows=0) for name in "ab"]
    for name, text in product(("notes.txt", "rows.jsonl"), ("mine",)):
        out = tmp_path / name.partition(".")[0]
        out.mkdir()
        (out / name).write_text(text)
        result = compare(*runs, "--out", out, "--overwrite")
        assert result.exit_code == 2, result.output
        assert "saliency did not write" in result.output
        assert (out / name).read_text() == text


def test_suspects_are_new_gone_stronger_or_weaker() -> None:
    def check(flipped: int) -> SuspectCheck:
        return SuspectCheck(("zap",), "spam", Flips(50, flipped), Flips(50, 0), Flips(50, 0))

    key, other = (("zap",), "spam"), (("a", "b"), "ham")
    assert suspect_changes({}, {key: check(1)})["new"][0]["word"] == "zap"
    assert suspect_changes({other: None}, {})["gone"][0]["words"] == ["a", "b"]
    assert len(suspect_changes({key: check(2)}, {key: check(40)})["stronger"]) == 1
    assert len(suspect_changes({key: check(40)}, {key: check(2)})["weaker"]) == 1
    found = suspect_changes({key: check(20), other: None}, {key: check(22), other: None})
    assert [*found.values()] == [[], [], [], []]


def test_the_verdict_says_what_changed_first(tmp_path: Path) -> None:
    result = compared(tmp_path, *changed_runs()).result
    texts = "In 1 of 2 texts that kept their label the saliency moved beyond its errors"
    moved = f"{texts}: 20 % of it in the mean of these"
    assert verdict(result) == [
        "Only 6 of 8 rows are in both runs: what follows is about these.",
        "1 prediction broken, 1 fixed, 1 changed otherwise.",
        "The accuracy stays at 50.0 %.",
        "The broken one is spam taken for ham.",
        f"{moved}; errors alone give 0.7 %.",
        "1 row is only in BEFORE.",
        "1 row is only in AFTER.",
        "1 row could be explained before and cannot be now.",
    ]


def test_a_new_suspect_is_named_with_its_check_before_slices_and_saliency(tmp_path: Path) -> None:
    words, other = Flips(36, 25), Flips(50, 50)
    found = SuspectCheck(("zap",), "spam", words, other, Flips(50, 0), control_words=("the",))
    result = compared(tmp_path, *changed_runs()).result
    result["suspects"] = suspect_changes({}, {(("zap",), "spam"): found})
    result["new_confirmed_suspects"] = 1
    headline = "1 prediction broken, 1 fixed, 1 changed otherwise, and 1 new confirmed shortcut."
    assert verdict(result)[1] == headline
    assert verdict(result)[4] == (
        "New confirmed shortcut suspect: zap (spam): without it the label changes in 25 of 36 "
        "texts; put into 50 other texts it turned 50 to spam (control word the: 0)."
    )


def test_a_p_value_that_is_no_number_any_more_is_a_bound(tmp_path: Path) -> None:
    rows = [("ham", "spam", "ham", 0.9, 0.9, "x")] * 60
    result = compared(tmp_path, *runs_of(rows)).result
    assert result["p_value"] < 1e-12
    assert "falls from 100.0 % to 0.0 % (beyond chance, p < 1e-12)." in verdict(result)[1]


def test_the_page_equals_the_golden_file(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page = write_page(tmp_path) / "index.html"
    golden = GOLDEN / "comparison.html"
    if request.config.getoption("--update-golden"):
        golden.write_bytes(page.read_bytes())
    assert page.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    """SQLite's own memory is bounded by its cache, and is not counted here."""
    _warm_up, few = (peak_bytes(tmp_path / str(n), n) for n in (300, 301))
    assert any(peak_bytes(tmp_path / f"many-{n}", 1500) < 1.5 * few for n in range(2))


def peak_bytes(folder: Path, rows: int) -> int:
    """Return the largest memory, in bytes, that a comparison of so many rows allocates."""
    runs = [
        [
            labelled(n, f"one text of many {n % 50}", LABELS[(n + shift) % 2], 0.75)
            for n in range(rows)
        ]
        for shift in (0, 1)
    ]
    tracemalloc.start()
    compared(folder, *runs, shown=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
