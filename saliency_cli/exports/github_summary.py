"""The export `github-summary`: a step summary of GitHub Actions, in Markdown."""

import re
from collections.abc import Iterable, Iterator, Mapping

from saliency_cli.analysis.suspect_checks import SuspectCheck, check_phrase, joined
from saliency_cli.exports.interface import Export
from saliency_cli.exports.phrases import influential_words, prediction, row_name
from saliency_cli.exports.rows_to_read_first import rows_to_read_first
from saliency_cli.figures.labels import doubt_thresholds, largest_first, mislabelled_margin
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.summary import Summary
from saliency_cli.runs.suspects_file import read_suspects
from saliency_cli.safe_text import excerpt

MAX_ROWS = 50
"""Rows of the second table; each takes a few kilobytes at most, and GitHub allows 1 MiB in all."""
MAX_LABELS = 30
"""With more labels their table is left out."""
MAX_SLICES = 20
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


def step_summary(run: FinishedRun) -> Iterator[bytes]:
    """Yield the run's numbers, the suspects that were checked, and the rows to read first."""
    yield f"# saliency: {escape_markdown(excerpt(run.manifest['model']['name']))}\n\n".encode()
    numbers = (
        (name, "–" if value is None else value) for name, value in run.summary.numbers().items()
    )
    yield from _table(("summary", "value"), numbers)
    yield from _figure_tables(run.summary)
    doubts = doubt_thresholds(run.manifest["counts"])
    checks = [*map(SuspectCheck.from_json, read_suspects(run.folder) or ())]
    if checks:
        yield b"\n## Shortcut suspects\n\n"
        yield from _table(("word", "label", "check"), map(_suspect_cells, checks))
    rows = [
        (row_name(record), *_cells(record, signed=run.is_signed, doubts=doubts))
        for record in rows_to_read_first(run, most=MAX_ROWS)
    ]
    if rows:
        yield b"\n## Rows to read first\n\n"
        yield from _table(("row", "what", "most influential words", "text"), rows)


def _figure_tables(summary: Summary) -> Iterator[bytes]:
    """Yield the labels, if they are few, and the weak slices as tables."""
    if 0 < len(summary.labels) <= MAX_LABELS:
        yield b"\n## Labels\n\n"
        names = ("precision", "recall", "f1")
        yield from _table(
            ("label", "rows", *names),
            (
                (excerpt(label), of["rows"], *(_figure(of[name]) for name in names))
                for label, of in largest_first(summary.labels)
            ),
        )
    weak = summary.weak_slices()[:MAX_SLICES]
    if weak:
        yield b"\n## Weak slices\n\n"
        slices = (
            (f"{excerpt(column)} {excerpt(value)}", of["gold_known"], _figure(of["accuracy"]))
            for column, value, of in weak
        )
        yield from _table(("slice", "rows", "accuracy"), slices)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _cells(record: Record, *, signed: bool, doubts: Mapping[str, float]) -> tuple[str, str, str]:
    """Return the columns "what", "most influential words" and "text" of a row."""
    if record["status"] != "ok":
        return f"not explained: {excerpt(record['reason'])}", "", excerpt(record["excerpt"])
    is_doubtful = mislabelled_margin(record, doubts) is not None
    what = prediction(record) + (", which may be wrong" if is_doubtful else "")
    return what, influential_words(record, signed=signed), excerpt(record["text"])


def _suspect_cells(check: SuspectCheck) -> tuple[str, str, str]:
    """Return the columns of a suspect that was checked."""
    return excerpt(joined(check.words)), excerpt(check.label), check_phrase(check)


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
