"""The export `github`: workflow commands of GitHub Actions, which it shows as annotations.

Sources: "Workflow commands for GitHub Actions" in GitHub's docs; for the escapes,
`packages/core/src/command.ts` of github.com/actions/toolkit.
"""

from collections.abc import Iterator

from saliency_cli.exports.interface import Export
from saliency_cli.exports.phrases import influential_words, prediction, row_name
from saliency_cli.exports.rows_to_read_first import rows_to_read_first
from saliency_cli.gates import in_order, stored_results
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt

MAX_ANNOTATIONS = 10
"""GitHub shows so many annotations of one kind for a step and drops the others silently."""


def annotations(run: FinishedRun) -> Iterator[bytes]:
    """Yield an error for each gate that failed, a warning for each that warned, and the run.

    Of the run there is one notice, and a warning for each of the rows to read first.
    """
    results = in_order(stored_results(run.manifest))
    failed = [each for each in results if each.fails][:MAX_ANNOTATIONS]
    warned = [each for each in results if not each.fails and each.outcome != "passed"]
    warned = warned[: MAX_ANNOTATIONS - 1]
    for each in failed:
        yield _command("error", each.sentence, title="gate failed")
    yield _command("notice", _overview(run), title="saliency")
    for each in warned:
        yield _command("warning", each.sentence, title="gate warned")
    first = rows_to_read_first(run, most=MAX_ANNOTATIONS - 1 - len(warned))
    for record in first:
        title = "row not explained" if record["status"] != "ok" else "wrong prediction"
        yield _command("warning", _message(record, signed=run.is_signed), title=title)


def _command(name: str, message: str, *, title: str) -> bytes:
    return f"::{name} title={escape_property(title)}::{escape_message(message)}\n".encode()


def escape_message(text: str) -> str:
    """Return the text, escaped as the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Return the text, escaped as the value of a workflow command's property."""
    return escape_message(text).replace(":", "%3A").replace(",", "%2C")


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
