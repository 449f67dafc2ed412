"""The export `github`: annotations of GitHub Actions."""

from collections.abc import Iterator

from saliency_cli.exports.interface import Export
from saliency_cli.exports.phrases import influential_words, prediction, row_name
from saliency_cli.exports.rows_to_read_first import rows_to_read_first
from saliency_cli.exports.workflow_commands import (
    MAX_ANNOTATIONS,
    command,
    failed_gates,
    warned_gates,
)
from saliency_cli.gates import in_order, stored_results
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt


def annotations(run: FinishedRun) -> Iterator[bytes]:
    """Yield an error for each gate that failed, a warning for each that warned, and the run.

    Of the run there is one notice, and a warning for each of the rows to read first.
    """
    results = in_order(stored_results(run.manifest))
    warned = warned_gates(results)
    yield from failed_gates(results)
    yield command("notice", _overview(run), title="saliency")
    yield from warned
    first = rows_to_read_first(run, most=MAX_ANNOTATIONS - 1 - len(warned))
    for record in first:
        title = "row not explained" if record["status"] != "ok" else "wrong prediction"
        yield command("warning", _message(record, signed=run.is_signed), title=title)


def _overview(run: FinishedRun) -> str:
    """Return the run's counts and its accuracy, if that is known, in one line."""
    summary = run.summary
    accuracy = "" if summary.accuracy is None else f", accuracy {summary.accuracy_text}"
    wrong = "" if summary.wrong is None else f", {summary.wrong} of {summary.gold_known} wrong"
    return f"{summary.rows} rows, {summary.quarantined} quarantined{accuracy}{wrong}"


def _message(record: Record, *, signed: bool) -> str:
    """Return why a row was quarantined, or what was predicted and which words led to it."""
    if record["status"] != "ok":
        return f"{row_name(record)}, line {record['line']}: {excerpt(record['reason'])}"
    text = excerpt(record["text"], limit=120)
    words = influential_words(record, signed=signed)
    return f"{row_name(record)}: {prediction(record)}. Most influential: {words}. Text: {text}"


EXPORT = Export(
    "github",
    "gates and rows to read as annotations, at most ten of a kind, for a GitHub Actions workflow",
    annotations,
)
