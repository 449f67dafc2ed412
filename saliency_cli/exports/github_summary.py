"""The export `github-summary`: a step summary of GitHub Actions, in Markdown."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from saliency_cli.exports.interface import Export
from saliency_cli.exports.phrases import influential_words, prediction, row_name
from saliency_cli.exports.rows_to_read_first import rows_to_read_first
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.safe_text import excerpt

MAX_ROWS = 50
"""Rows of the second table; each takes a few kilobytes at most, and GitHub allows 1 MiB in all."""
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def step_summary(run: FinishedRun) -> Iterator[bytes]:
    """Yield the run's numbers, and a table of the rows to read first, as Markdown."""
    yield f"# saliency: {escape_markdown(excerpt(run.manifest['model']['name']))}\n\n".encode()
    numbers = (
        (name, "–" if value is None else value) for name, value in asdict(run.summary).items()
    )
    yield from _table(("summary", "value"), numbers)
    rows = [
        (row_name(record), *_cells(record, signed=run.is_signed))
        for record in rows_to_read_first(run, most=MAX_ROWS)
    ]
    if rows:
        yield b"\n## Rows to read first\n\n"
        yield from _table(("row", "what", "most influential words", "text"), rows)


def _cells(record: Record, *, signed: bool) -> tuple[str, str, str]:
    """Return the columns "what", "most influential words" and "text" of a row."""
    if record["status"] != "ok":
        return f"not explained: {excerpt(record['reason'])}", "", excerpt(record["excerpt"])
    return prediction(record), influential_words(record, signed=signed), excerpt(record["text"])


def _table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    for cells in (header, ["---"] * len(header)):
        yield f"| {' | '.join(cells)} |\n".encode()
    for row in rows:
        yield f"| {' | '.join(escape_markdown(str(cell)) for cell in row)} |\n".encode()


def escape_markdown(text: str) -> str:
    """Return one line of text, escaped so that Markdown shows all of its punctuation as it is."""
    return _PUNCTUATION.sub(r"\\\1", text)


EXPORT = Export(
    "github-summary",
    "a step summary in Markdown, below 1 MiB, for a GitHub Actions workflow",
    step_summary,
)
