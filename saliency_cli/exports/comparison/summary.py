"""The export `github-summary` of a comparison: a step summary in Markdown, below 1 MiB."""

from collections.abc import Iterator

from saliency_cli.comparison.suspect_changes import check_cell
from saliency_cli.comparison.verdict import is_beyond_chance
from saliency_cli.exports.comparison.interface import ComparisonExport, ReadRows, Result
from saliency_cli.exports.comparison.phrases import (
    TITLES,
    change_of,
    changed_first,
    moved_words,
    name_of,
)
from saliency_cli.exports.markdown import escape_markdown, gate_table, table
from saliency_cli.gates import stored_results
from saliency_cli.percentages import share_text
from saliency_cli.safe_text import excerpt

MAX_ROWS = 50
MAX_SLICES = 20


def step_summary(result: Result, read_rows: ReadRows) -> Iterator[bytes]:
    """Yield the gates, the verdict, changed suspects, slices and words, and the changed rows.

    Args:
        result: What `comparison.json` holds.
        read_rows: Reads the rows.
    """
    names = [escape_markdown(excerpt(result[side]["model"])) for side in ("before", "after")]
    yield f"# saliency compare: {' → '.join(names)}\n".encode()
    yield from gate_table(stored_results(result))
    yield b"\n## What changed\n\n"
    for number, sentence in enumerate(result["verdict"]):
        escaped = escape_markdown(sentence)
        yield f"{escaped if number else f'**{escaped}**'}\n\n".encode()
    yield from _suspects(result)
    yield from _slices(result)
    yield from _words(result)
    yield from _rows(read_rows)


def _suspects(result: Result) -> Iterator[bytes]:
    rows = [
        (excerpt(each["word"]), excerpt(each["label"]), kind, *_checks(each))
        for kind, found in result["suspects"].items()
        for each in found
    ]
    if rows:
        yield b"## Shortcut suspects\n\n"
        yield from table(("word", "label", "change", "check before", "after"), rows)


def _checks(entry: Result) -> tuple[str, str]:
    return check_cell(entry["before"]), check_cell(entry["after"])


def _slices(result: Result) -> Iterator[bytes]:
    rows = [
        (
            f"{excerpt(column)} {excerpt(value)}",
            f"{figures['rows']:,}",
            f"{figures['broken']:,}",
            f"{figures['fixed']:,}",
            *(share_text(figures[name]) for name in ("accuracy_before", "accuracy_after")),
        )
        for column, values in result["slices"].items()
        for value, figures in values.items()
        if is_beyond_chance(figures)
    ]
    if rows:
        yield b"\n## Slices that changed beyond chance\n\n"
        header = ("slice", "rows", "broken", "fixed", "accuracy before", "after")
        yield from table(header, rows[:MAX_SLICES])


def _words(result: Result) -> Iterator[bytes]:
    rows = [
        (excerpt(each["word"]), kind, f"{each['texts']:,}", *_shares(each))
        for kind, found in result["words"].items()
        for each in found
    ]
    if rows:
        yield b"\n## Words that gained and lost influence\n\n"
        yield from table(("word", "change", "texts", "share before", "after"), rows)


def _shares(entry: Result) -> tuple[str, str]:
    return share_text(entry["before"]), share_text(entry["after"])


def _rows(read_rows: ReadRows) -> Iterator[bytes]:
    rows = [
        (name_of(row), TITLES[row["change"]], change_of(row), moved_words(row), row["text"])
        for row in changed_first(read_rows(), most=MAX_ROWS)
    ]
    if rows:
        yield b"\n## Changed rows\n\n"
        yield from table(("row", "what", "predictions", "moved most", "text"), rows)


EXPORT = ComparisonExport("github-summary", step_summary)
