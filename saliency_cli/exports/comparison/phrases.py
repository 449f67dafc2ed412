"""Changed rows as short one-line texts."""

from collections.abc import Iterable
from heapq import nlargest

from saliency_cli.comparison.row_changes import BROKEN, FIXED, FLIPPED, LOST, URGENCY
from saliency_cli.exports.comparison.interface import Row
from saliency_cli.exports.phrases import MAX_CHARACTERS, row_name
from saliency_cli.percentages import percent_number
from saliency_cli.safe_text import excerpt

TITLES = {
    BROKEN: "broken prediction",
    LOST: "row not explained any more",
    FLIPPED: "changed prediction",
    FIXED: "fixed prediction",
}


def changed_first(rows: Iterable[Row], *, most: int) -> list[Row]:
    """Return rows with a changed prediction or status: broken ones first, most probable first.

    Args:
        rows: All rows.
        most: The maximum number of rows; this many are in memory at a time.
    """
    changed = (row for row in rows if row["change"] in URGENCY)
    return nlargest(most, changed, key=_rank)


def _rank(row: Row) -> tuple[float, ...]:
    after = row["after"]
    return URGENCY[row["change"]], after.get("probability") or 0.0, -after["ordinal"]


def name_of(row: Row) -> str:
    """Return the row's number in the second run and its id: "row 3 (id-3)"."""
    return row_name({"ordinal": (row["after"] or row["before"])["ordinal"], "id": row["id"]})


def change_of(row: Row) -> str:
    """Return both predictions: "ham 99.9% before, spam 89% after, gold ham"."""
    sides = (f"{_prediction(row[name])} {name}" for name in ("before", "after"))
    gold = (row["after"] or {}).get("gold")
    return ", ".join([*sides, *([] if gold is None else [f"gold {_short(gold)}"])])


def _prediction(side: Row | None) -> str:
    if side is None:
        return "not in this run"
    if side["status"] != "ok":
        return "not explained"
    if side["predicted"] is None:
        return f"{side['value']:g}"
    return f"{_short(side['predicted'])} {percent_number(side['probability'])}%"


def moved_words(row: Row) -> str:
    """Return the words that moved most: "reply 0.7% → 24%, i 34% → 8.9%"; empty if none did."""
    return ", ".join(
        f"{_short(each['word'])} {percent_number(each['before'])}% → "
        f"{percent_number(each['after'])}%"
        for each in row["words"]
    )


def _short(text: str) -> str:
    return excerpt(text, limit=MAX_CHARACTERS)
