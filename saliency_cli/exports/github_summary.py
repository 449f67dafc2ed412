"""The export `github-summary`: a step summary of GitHub Actions, in Markdown.

Gates, then what the page says first, with its words and percentages, then tables. GitHub takes
1 MiB; the sizes below keep it smaller, whatever the texts are.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

from saliency_cli.analysis.suspect_checks import check_phrase, joined
from saliency_cli.exports.interface import Export
from saliency_cli.exports.markdown import escape_markdown, gate_table, table
from saliency_cli.exports.phrases import influential_words, prediction, row_name
from saliency_cli.exports.rows_to_read_first import rows_to_read_first
from saliency_cli.figures.labels import doubt_thresholds, largest_first, mislabelled_margin
from saliency_cli.gates import stored_results
from saliency_cli.percentages import share_text
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.summary import Summary
from saliency_cli.runs.suspects_file import read_suspects
from saliency_cli.safe_text import excerpt

if TYPE_CHECKING:  # `saliency --help` imports this file, and needs none of the findings
    from saliency_cli.analysis.confusion import Confusion, Predictions
    from saliency_cli.analysis.findings import Findings
    from saliency_cli.analysis.word_statistics import WordFindings

MAX_ROWS = 50
"""Rows of the last table; each takes a few kilobytes at most."""
MAX_LABELS = 30
"""With more labels their table is left out."""
MAX_SLICES = 20


def step_summary(run: FinishedRun) -> Iterator[bytes]:
    """Yield gates, the first finding, figures, suspects, weak slices, and the rows to read."""
    from saliency_cli.analysis.first_finding import first_finding  # noqa: PLC0415 - see above

    yield f"# saliency: {escape_markdown(excerpt(run.manifest['model']['name']))}\n".encode()
    yield from gate_table(stored_results(run.manifest))
    counts, findings = run.manifest["counts"], _findings(run)
    yield b"\n## What was found\n\n"
    for number, sentence in enumerate(first_finding(counts, findings)):
        escaped = escape_markdown(sentence)
        yield f"{escaped if number else f'**{escaped}**'}\n\n".encode()
    yield from _labels(run.summary)
    confusion = cast("Predictions", findings["predictions"]).confusion
    if confusion is not None:
        yield from _matrix(confusion)
    yield from _suspects(findings)
    yield from _weak_slices(run.summary)
    yield from _rows(run)


def _findings(run: FinishedRun) -> "Findings":
    """Return the findings of the page, from one pass over the records."""
    from saliency_cli.analysis.findings import collect_findings, with_checks  # noqa: PLC0415

    found = collect_findings(
        map(json.dumps, run.records()),
        labels=tuple(run.manifest["model"]["labels"]),
        counts=run.manifest["counts"],
    )
    return with_checks(found, read_suspects(run.folder) or ())


def _labels(summary: Summary) -> Iterator[bytes]:
    """Yield the figures of the labels, if these are few."""
    if 0 < len(summary.labels) <= MAX_LABELS:
        yield b"## Labels\n\n"
        names = ("precision", "recall", "f1")
        yield from table(
            ("label", "rows", "precision", "recall", "F1"),
            (
                (excerpt(label), f"{of['rows']:,}", *(share_text(of[name]) for name in names))
                for label, of in largest_first(summary.labels)
            ),
        )


def _matrix(confusion: "Confusion") -> Iterator[bytes]:
    """Yield the confusion matrix: a row for each gold label."""
    names = [excerpt(label, limit=60) for label in confusion.labels]
    yield b"\n## Confusion matrix\n\n"
    header = ("gold ↓ predicted →", *map(escape_markdown, names))
    cells = (
        (name, *(f"{cell.count:,}" for cell in row))
        for name, row in zip(names, confusion.cells, strict=True)
    )
    yield from table(header, cells)
    if confusion.hidden_labels:
        yield f"\n{confusion.hidden_labels:,} more labels are on the page.\n".encode()


def _suspects(findings: "Findings") -> Iterator[bytes]:
    checks = cast("WordFindings", findings["words"]).checks
    if checks:
        yield b"\n## Shortcut suspects\n\n"
        rows = (
            (excerpt(joined(check.words)), excerpt(check.label), check_phrase(check))
            for check in checks
        )
        yield from table(("word", "label", "check"), rows)


def _weak_slices(summary: Summary) -> Iterator[bytes]:
    weak = summary.weak_slices()[:MAX_SLICES]
    if weak:
        yield b"\n## Weak slices\n\n"
        slices = (
            (
                f"{excerpt(column)} {excerpt(value)}",
                f"{of['gold_known']:,}",
                share_text(of["accuracy"]),
            )
            for column, value, of in weak
        )
        yield from table(("slice", "rows", "accuracy"), slices)


def _rows(run: FinishedRun) -> Iterator[bytes]:
    doubts = doubt_thresholds(run.manifest["counts"])
    rows = [
        (row_name(record), *_cells(record, signed=run.is_signed, doubts=doubts))
        for record in rows_to_read_first(run, most=MAX_ROWS)
    ]
    if rows:
        yield b"\n## Rows to read first\n\n"
        yield from table(("row", "what", "most influential words", "text"), rows)


def _cells(record: Record, *, signed: bool, doubts: Mapping[str, float]) -> tuple[str, str, str]:
    """Return the columns "what", "most influential words" and "text" of a row."""
    if record["status"] != "ok":
        return f"not explained: {excerpt(record['reason'])}", "", excerpt(record["excerpt"])
    is_doubtful = mislabelled_margin(record, doubts) is not None
    what = prediction(record) + (", which may be wrong" if is_doubtful else "")
    return what, influential_words(record, signed=signed), excerpt(record["text"])


EXPORT = Export(
    "github-summary",
    "a step summary in Markdown, below 1 MiB, for a GitHub Actions workflow",
    step_summary,
)
