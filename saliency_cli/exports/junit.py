"""The export `junit`: JUnit XML whose test cases are the gates, for the test view of a CI server.

A gate that fails is a failure; one that warns passes, and its output says why. One more case fails
as an error if rows are quarantined, so that a suite is never empty. With `--junit-rows` the rows
are cases in its place: a wrong prediction is a failure, a quarantined row an error, and a row
without a gold label that the model knows is skipped.
"""

from collections.abc import Iterator
from itertools import chain

from saliency_cli.exports.interface import Export
from saliency_cli.exports.junit_xml import Case, Outcome, gate_cases, suite
from saliency_cli.exports.phrases import influential_words, prediction, row_name
from saliency_cli.figures.correctness import prediction_is_correct
from saliency_cli.gates import stored_results
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt


def junit(run: FinishedRun) -> Iterator[bytes]:
    """Yield a suite with one test case per gate, and one for all rows."""
    yield from suite(lambda: chain(gate_cases(stored_results(run.manifest)), [_all_rows_case(run)]))


def junit_rows(run: FinishedRun) -> Iterator[bytes]:
    """Yield a suite with one test case per gate, and one per row."""
    yield from suite(lambda: chain(gate_cases(stored_results(run.manifest)), _row_cases(run)))


def _all_rows_case(run: FinishedRun) -> Case:
    """Return the case that fails as an error if rows are quarantined."""
    summary, outcome = run.summary, None
    if summary.quarantined:
        message = f"{summary.quarantined:,} of {summary.rows:,} rows could not be explained"
        outcome = Outcome("error", message, "the report and the records say which, and why")
    return Case("saliency.rows", "every row is explained", outcome)


def _row_cases(run: FinishedRun) -> Iterator[Case]:
    for record in run.records():
        outcome = _outcome(record, signed=run.is_signed)
        yield Case(_class_name(record), row_name(record), outcome)


def _class_name(record: Record) -> str:
    """Return the gold label: CI servers count the failures of each class name."""
    gold = record.get("gold")
    return "saliency" if gold is None else excerpt(gold, limit=60)


def _outcome(record: Record, *, signed: bool) -> Outcome | None:
    """Return why the row's test case does not pass, or None if it passes."""
    if record["status"] != "ok":
        text = f"line {record['line']}: {record['excerpt']}"
        return Outcome("error", record["reason"], text)
    correct = prediction_is_correct(record)
    if correct is None:
        return Outcome("skipped", "no gold label of the model's to judge it by", "")
    if correct:
        return None
    words = influential_words(record, signed=signed)
    text = f"most influential: {words}\ntext: {excerpt(record['text'])}"
    return Outcome("failure", prediction(record), text)


EXPORT = Export(
    "junit",
    "the gates as XML test cases, for the test view of a CI server",
    junit,
    encode_rows=junit_rows,
)
