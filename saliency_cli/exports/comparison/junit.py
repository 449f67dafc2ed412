"""The export `junit` of a comparison: the gates as test cases, with `--junit-rows` broken rows."""

from collections.abc import Iterator
from itertools import chain

from saliency_cli.comparison.row_changes import BROKEN, LOST
from saliency_cli.exports.comparison.interface import ComparisonExport, ReadRows, Result, Row
from saliency_cli.exports.comparison.phrases import TITLES, change_of, moved_words, name_of
from saliency_cli.exports.junit_xml import Case, Outcome, gate_cases, suite
from saliency_cli.gates import stored_results


def junit(result: Result, _read_rows: ReadRows) -> Iterator[bytes]:
    """Yield a suite with a test case per gate, and one for all rows.

    Args:
        result: What `comparison.json` holds.
        _read_rows: Not needed.
    """
    yield from suite(lambda: chain(_gates(result), [_all_rows_case(result)]))


def junit_rows(result: Result, read_rows: ReadRows) -> Iterator[bytes]:
    """Yield a suite with a test case per gate, and one per row that broke.

    Args:
        result: What `comparison.json` holds.
        read_rows: Reads the rows.
    """
    yield from suite(lambda: chain(_gates(result), [_all_rows_case(result)], _rows(read_rows)))


def _gates(result: Result) -> Iterator[Case]:
    return gate_cases(stored_results(result))


def _all_rows_case(result: Result) -> Case:
    lost, outcome = result["newly_quarantined"], None
    if lost:
        message = f"{lost:,} rows were explained before and are not explained any more"
        outcome = Outcome("error", message, "\n".join(result["verdict"]))
    return Case("saliency.rows", "every row that was explained is explained", outcome)


def _rows(read_rows: ReadRows) -> Iterator[Case]:
    for row in read_rows():
        if row["change"] in {BROKEN, LOST}:
            yield Case(f"saliency.{row['change']}".replace(" ", "_"), name_of(row), _outcome(row))


def _outcome(row: Row) -> Outcome:
    text = f"moved most: {moved_words(row) or 'nothing'}\ntext: {row['text']}"
    return Outcome("failure", f"{TITLES[row['change']]}: {change_of(row)}", text)


EXPORT = ComparisonExport("junit", junit, junit_rows)
