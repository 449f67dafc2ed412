"""The export `csv` of a comparison: one line a row of either run, for spreadsheets."""

from collections.abc import Iterator

from saliency_cli.exports.comparison.interface import ComparisonExport, ReadRows, Result, Row
from saliency_cli.exports.comparison.phrases import moved_words
from saliency_cli.exports.csv_table import csv_chunks

SIDES = ("before", "after")
OF_SIDE = ("ordinal", "status", "predicted", "probability", "value", "correct")
COLUMNS = (
    *("change", "id", "gold"),
    *(f"{name}_{side}" for name in OF_SIDE for side in SIDES),
    *("shift", "distance", "expected_distance", "moved", "words", "text"),
)


def csv_rows(_result: Result, read_rows: ReadRows) -> Iterator[bytes]:
    """Yield the rows as CSV.

    Args:
        _result: Not needed.
        read_rows: Reads the rows.
    """
    yield from csv_chunks(COLUMNS, ([_line(row)] for row in read_rows()))


def _line(row: Row) -> dict[str, object]:
    sides = {side: row[side] or {} for side in SIDES}
    return {
        **row,
        **{f"{name}_{side}": of.get(name) for side, of in sides.items() for name in OF_SIDE},
        "gold": sides["after"].get("gold", sides["before"].get("gold")),
        "words": moved_words(row),
    }


EXPORT = ComparisonExport("csv", csv_rows)
