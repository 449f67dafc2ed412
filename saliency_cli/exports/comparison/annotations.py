"""The export `github` of a comparison: failed gates, the verdict, and changed rows."""

from collections.abc import Iterator

from saliency_cli.comparison.row_changes import FIXED
from saliency_cli.exports.comparison.interface import ComparisonExport, ReadRows, Result, Row
from saliency_cli.exports.comparison.phrases import (
    TITLES,
    change_of,
    changed_first,
    moved_words,
    name_of,
)
from saliency_cli.exports.workflow_commands import (
    MAX_ANNOTATIONS,
    command,
    failed_gates,
    warned_gates,
)
from saliency_cli.gates import in_order, stored_results


def annotations(result: Result, read_rows: ReadRows) -> Iterator[bytes]:
    """Yield an error for each failed gate, a notice with the verdict, and a warning a changed row.

    Args:
        result: What `comparison.json` holds.
        read_rows: Reads the rows.
    """
    results = in_order(stored_results(result))
    warned = warned_gates(results)
    yield from failed_gates(results)
    yield command("notice", " ".join(result["verdict"]), title="saliency compare")
    yield from warned
    rows = (row for row in read_rows() if row["change"] != FIXED)
    for row in changed_first(rows, most=MAX_ANNOTATIONS - 1 - len(warned)):
        yield command("warning", _message(row), title=TITLES[row["change"]])


def _message(row: Row) -> str:
    words = moved_words(row)
    moved = f". Moved most: {words}" if words else ""
    return f"{name_of(row)}: {change_of(row)}{moved}. Text: {row['text']}"


EXPORT = ComparisonExport("github", annotations)
