"""For a workflow of GitHub Actions: annotations, and a step summary in Markdown."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from heapq import nlargest

from saliency_cli.analysis.words import judged
from saliency_cli.exports.phrases import leaders, named, prediction
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt

MOST_ANNOTATIONS = 10
"""What a step shows of one kind; further ones are dropped without a word."""
MOST_ROWS = 50
"""Rows of the step summary; each takes a few kilobytes at the very most, and all may take 1 MiB."""
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def annotations(run: FinishedRun) -> Iterator[bytes]:
    """Write the run in a notice, and the rows to read first as warnings: ten lines at most."""
    first = flagged(run, most=MOST_ANNOTATIONS - 1)
    yield _command("notice", _overview(run), title="saliency")
    for record in first:
        title = "row not explained" if record["status"] != "ok" else "wrong prediction"
        yield _command("warning", _sentence(record), title=title)


def flagged(run: FinishedRun, *, most: int) -> list[Record]:
    """Return wrong predictions, the most confident first, and then quarantined rows in order."""
    records = (each for each in run.records() if each["status"] != "ok" or judged(each) is False)
    return nlargest(most, records, key=_urgency)


def _urgency(record: Record) -> tuple[float, int]:
    probability = record["probability"] if record["status"] == "ok" else -1.0
    return probability, -record["ordinal"]


def _command(name: str, message: str, *, title: str) -> bytes:
    return f"::{name} title={property_value(title)}::{data(message)}\n".encode()


def data(text: str) -> str:
    """Escape the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property_value(text: str) -> str:
    """Escape the value of a workflow command's property."""
    return data(text).replace(":", "%3A").replace(",", "%2C")


def _overview(run: FinishedRun) -> str:
    summary = run.summary
    accuracy = "" if summary.accuracy is None else f", accuracy {summary.accuracy:.1%}"
    return f"{summary.rows} rows, {summary.quarantined} quarantined{accuracy}"


def _sentence(record: Record) -> str:
    if record["status"] != "ok":
        return f"{named(record)}, line {record['line']}: {excerpt(record['reason'])}"
    text = excerpt(record["text"], limit=120)
    return f"{named(record)}: {prediction(record)}. Leading: {leaders(record)}. Text: {text}"


def step_summary(run: FinishedRun) -> Iterator[bytes]:
    """Write the run's numbers and the rows to read first as Markdown, well under 1 MiB."""
    yield f"# saliency: {markdown(excerpt(run.manifest['model']['name']))}\n\n".encode()
    numbers = (
        (name, "–" if value is None else value) for name, value in asdict(run.summary).items()
    )
    yield from _table(("summary", "value"), numbers)
    rows = [(named(each), *_row(each)) for each in flagged(run, most=MOST_ROWS)]
    if rows:
        yield b"\n## Rows to read first\n\n"
        yield from _table(("row", "what", "leading words", "text"), rows)


def _row(record: Record) -> tuple[str, str, str]:
    if record["status"] != "ok":
        return f"not explained: {excerpt(record['reason'])}", "", excerpt(record["excerpt"])
    return prediction(record), leaders(record), excerpt(record["text"])


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    for cells in (head, ["---"] * len(head)):
        yield f"| {' | '.join(cells)} |\n".encode()
    for row in rows:
        yield f"| {' | '.join(markdown(str(cell)) for cell in row)} |\n".encode()


def markdown(text: str) -> str:
    """Escape a line of text for Markdown: no punctuation of it means anything."""
    return _PUNCTUATION.sub(r"\\\1", text)
