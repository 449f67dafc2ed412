"""Rows of two runs are matched by unique ids, else by text; nothing is dropped."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.comparison.row_changes import ONLY_AFTER, ONLY_BEFORE
from saliency_cli.comparison.row_index import AFTER, BEFORE, open_index
from saliency_cli.errors import UsageError
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import Location
from tests.support.comparisons import compare, compared
from tests.support.runs import bad_record, record, write_run

KEYS = st.lists(st.sampled_from("abcd"), max_size=12)


def rows(texts: list[str]) -> list[tuple[Location, Record]]:
    """Return records of texts with their places: the part tells the row's number."""
    return [(Location(n, 0), record(n, text, id=text)) for n, text in enumerate(texts)]


@given(KEYS, KEYS)
def test_each_row_is_matched_once_or_alone_and_repeats_in_their_order(
    before: list[str], after: list[str]
) -> None:
    with open_index() as index:
        index.add(BEFORE, rows(before), column="id")
        index.add(AFTER, rows(after), column="id")
        unique = all(len({*keys}) == len(keys) > 0 for keys in (before, after))
        assert all(index.counts(side).are_unique for side in (BEFORE, AFTER)) is unique
        found = [*index.matched(by_text=True)]
    places = [[place and place.part for place in pair] for pair in found]
    assert [old for old, _ in places if old is not None] == [*range(len(before))]
    assert {new for _, new in places if new is not None} == {*range(len(after))}
    pairs = [(old, new) for old, new in places if old is not None and new is not None]
    assert len(pairs) == sum((Counter(before) & Counter(after)).values())
    for key in "abcd":
        own = [new for old, new in pairs if before[old] == key]
        assert own == [n for n, text in enumerate(after) if text == key][: len(own)]
    alone = [new for old, new in places if old is None and new is not None]
    assert alone == sorted(alone)


def test_unique_ids_match_rows_whose_order_and_text_differ(tmp_path: Path) -> None:
    before = [record(0, "one"), record(1, "two"), record(2, "three")]
    after = [record(0, "two", id="id-1"), record(1, "one", id="id-0"), record(2, "3", id="id-2")]
    result = compared(tmp_path, before, after).result
    assert result["matched_by"] == "id"
    assert [result[name] for name in ("rows", "matched", "texts_changed")] == [3, 3, 1]
    assert result["compared"] == 2  # not of the row with another text


@pytest.mark.parametrize("ids", [("same", "same"), (None, "b"), (None, None)])
def test_without_unique_ids_rows_are_matched_by_text(
    tmp_path: Path, ids: tuple[str | None, str | None]
) -> None:
    before = [record(0, "one", id=ids[0]), record(1, "two", id=ids[1])]
    after = [record(0, "two", id="x"), record(1, "new", id="y"), bad_record(2)]
    result = compared(tmp_path, before, after).result
    assert result["matched_by"] == "text"
    names = ("rows", "matched", ONLY_BEFORE.replace(" ", "_"), ONLY_AFTER.replace(" ", "_"))
    assert [result[name] for name in names] == [4, 1, 1, 2]


def test_rows_can_be_matched_by_a_slice_column(tmp_path: Path) -> None:
    before = [record(n, f"text {n}", id="same", slices={"key": f"k{n}"}) for n in range(3)]
    after = [record(n, f"text {2 - n}", slices={"key": f"k{2 - n}"}) for n in range(3)]
    result = compared(tmp_path, before, after, column="key").result
    assert (result["matched_by"], result["matched"], result["texts_changed"]) == ("key", 3, 0)


def test_a_column_that_is_not_unique_is_refused(tmp_path: Path) -> None:
    before = [record(0, "one", id="x"), record(1, "two", id="x")]
    with pytest.raises(UsageError, match="2 of 2 rows of BEFORE have it, with 1 different"):
        compared(tmp_path, before, [record(0, "one")], column="id")


def test_what_would_mean_nothing_is_refused_in_one_line(tmp_path: Path) -> None:
    runs = {
        "spam": write_run(tmp_path / "spam", [record(0, "one"), record(1, "two")]),
        "texts": write_run(tmp_path / "texts", [record(0, "else"), record(1, "where")]),
        "other": write_run(tmp_path / "other", [record(0, "a", id="p"), record(1, "b", id="q")]),
        "labels": write_run(
            tmp_path / "labels",
            [record(0, "one"), record(1, "two")],
            model={"name": "m", "labels": ["bad", "good"], "max_length": 8},
        ),
        "head": write_run(
            tmp_path / "head",
            [record(0, "one")],
            model={"name": "m", "labels": ["ham"], "head": "regression", "max_length": 8},
        ),
    }
    expected = {
        "spam": "BEFORE and AFTER are one folder",
        "texts": "2 of 2 rows with the same id have different texts",
        "other": "no row of BEFORE has the id of a row of AFTER",
        "labels": "the models have no label in common",
        "head": "their predictions cannot be compared",
    }
    for name, message in expected.items():
        result = compare(runs["spam"], runs[name], "--out", tmp_path / "out")
        assert result.exit_code == 2, result.output
        assert message in result.output
        assert len(result.output.splitlines()) == 2  # the error and its hint
        assert not (tmp_path / "out" / "comparison.json").exists()
