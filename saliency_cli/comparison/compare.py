"""Compares two finished runs, row by row, in memory that does not grow with their rows."""

import heapq
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from saliency_cli.comparison.counts import ComparisonCounts
from saliency_cli.comparison.differences import Differences, find_differences
from saliency_cli.comparison.folder import SCHEMA, ComparisonFolder
from saliency_cli.comparison.row_changes import URGENCY, RowChange, row_change
from saliency_cli.comparison.row_index import AFTER, BEFORE, MatchedRow, RowIndex, open_index
from saliency_cli.comparison.suspect_changes import suspect_changes, suspects_of
from saliency_cli.comparison.verdict import verdict
from saliency_cli.errors import UsageError
from saliency_cli.progress import Advance
from saliency_cli.runs.finished_run import FinishedRun
from saliency_cli.runs.record_reader import open_reader
from saliency_cli.safe_text import excerpt


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side.

    Attributes:
        before: the first run.
        after: the second run.
        result: what `comparison.json` holds.
        changed: where the changed rows to show are, the most urgent first.
        comparable: whether the saliency was compared.
    """

    before: FinishedRun
    after: FinishedRun
    result: dict[str, Any]
    changed: tuple[MatchedRow, ...]
    comparable: bool

    def rows(self) -> Iterator[tuple[RowChange, tuple[str | None, str | None]]]:
        """Yield the changed rows to show, each with the lines of its records."""
        with ExitStack() as stack:
            readers = [stack.enter_context(open_reader(run)) for run in (self.before, self.after)]
            for places in self.changed:
                before, after = (
                    None if place is None else reader.line(place)
                    for reader, place in zip(readers, places, strict=True)
                )
                records = (None if line is None else json.loads(line) for line in (before, after))
                change = row_change(*records, comparable=self.comparable)
                yield change, (before, after)


@dataclass(slots=True)
class _MostUrgent:
    """Keeps the places of the most urgent changes: broken rows first, most probable ones first."""

    most: int
    _heap: list[tuple[tuple[float, ...], MatchedRow]] = field(default_factory=list)

    def add(self, change: RowChange, places: MatchedRow) -> None:
        if not self.most or not change.is_change:
            return
        item = (_urgency(change), places)
        if len(self._heap) < self.most:
            heapq.heappush(self._heap, item)
        else:
            heapq.heappushpop(self._heap, item)

    def result(self) -> tuple[MatchedRow, ...]:
        return tuple(places for _, places in sorted(self._heap, reverse=True))


def _urgency(change: RowChange) -> tuple[float, ...]:
    """Return a sort key that is different for every row."""
    distance = 0.0 if change.distance is None else change.distance.value
    probability = change.record.get("probability") or 0.0
    by = probability if change.kind in URGENCY else distance
    return URGENCY.get(change.kind, 0), by, -change.record["ordinal"]


def compare_runs(
    before: FinishedRun,
    after: FinishedRun,
    folder: ComparisonFolder,
    *,
    column: str | None = None,
    shown: int = 500,
    advance: Advance = lambda _count: None,
) -> Comparison:
    """Return what changed between two runs, and write `rows.jsonl`.

    Args:
        before: The first run.
        after: The second run.
        folder: Where `rows.jsonl` is written.
        column: `id`, `text`, or the slice column that rows are matched by; None chooses.
        shown: The largest number of changed rows to show.
        advance: Called with a number of rows that were compared.

    Raises:
        UsageError: A comparison would mean nothing, or the rows cannot be matched as asked.
        OutputError: `rows.jsonl` cannot be written.
    """
    differences = find_differences(before, after)
    counts, urgent = ComparisonCounts(), _MostUrgent(shown)
    with ExitStack() as stack:
        index = stack.enter_context(open_index())
        by = _fill(index, before, after, column=column)
        readers = [stack.enter_context(open_reader(run)) for run in (before, after)]
        writer = stack.enter_context(folder.writing_rows())
        for places in index.matched(by_text=by == "text"):
            records = (
                None if place is None else reader.record(place)
                for reader, place in zip(readers, places, strict=True)
            )
            change = row_change(*records, comparable=differences.comparable)
            counts.add(change)
            urgent.add(change, places)
            writer.write(change)
            advance(1)
        figures = counts.figures()
        _check_matched(figures, by)
    suspects = suspect_changes(suspects_of(before), suspects_of(after))
    result = _result(before, after, {**figures, "matched_by": by}, suspects, differences)
    return Comparison(before, after, result, urgent.result(), differences.comparable)


def _fill(index: RowIndex, before: FinishedRun, after: FinishedRun, *, column: str | None) -> str:
    """Fill the index, and return what rows are matched by: `id`, `text` or a slice column.

    Raises:
        UsageError: The column that was asked for is not unique.
    """
    runs = {BEFORE: before, AFTER: after}
    for side, run in runs.items():
        index.add(side, run.located_records(), column=column or "id")
    if column == "text":
        return column
    counts = {side: index.counts(side) for side in runs}
    if all(each.are_unique for each in counts.values()):
        return column or "id"
    if column is None:
        return "text"
    side, of = next((side, of) for side, of in counts.items() if not of.are_unique)
    raise UsageError(
        f"--id-column {excerpt(column)}: {of.with_key:,} of {of.rows:,} rows of {side.upper()} "
        f"have it, with {of.different:,} different values; each row needs one of its own",
        "leave out --id-column to match rows by their text",
    )


def _check_matched(figures: Mapping[str, Any], by: str) -> None:
    if not figures["matched"]:
        hint = "both runs must explain the same texts"
        if by != "text":
            hint = "add --id-column text to match rows by their text"
        raise UsageError(f"no row of BEFORE has the {by} of a row of AFTER", hint)
    changed, explained = figures["texts_changed"], figures["explained"]
    if changed > explained / 2:
        raise UsageError(
            f"{changed:,} of {explained:,} rows with the same {by} have different texts: these are "
            "different data sets",
            "add --id-column text to match rows by their text",
        )


def _result(
    before: FinishedRun,
    after: FinishedRun,
    figures: Mapping[str, Any],
    suspects: Mapping[str, list[dict[str, Any]]],
    differences: Differences,
) -> dict[str, Any]:
    """Return what `comparison.json` holds."""
    result = {
        **figures,
        "schema": SCHEMA,
        "before": _run_entry(before),
        "after": _run_entry(after),
        "differences": [*differences.notes, *_token_note(figures)],
        "saliency_not_comparable": [*differences.of_saliency],
        "suspects": dict(suspects),
        **{f"{kind}_suspects": len(found) for kind, found in suspects.items()},
        "new_confirmed_suspects": sum(
            each["after"] is not None and each["after"]["confirmed"] for each in suspects["new"]
        ),
    }
    return {**result, "verdict": verdict(result)}


def _token_note(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many texts have other tokens; files of tokenizers may differ without any."""
    changed = figures["tokens_changed"]
    if changed:
        yield f"the tokenizers divide {changed:,} of {figures['explained']:,} texts differently"


def _run_entry(run: FinishedRun) -> dict[str, Any]:
    """Return what identifies a run."""
    manifest = run.manifest
    names = ("rows", "ok", "quarantined", "accuracy")
    return {
        "model": manifest["model"]["name"],
        "input": manifest["input"]["name"],
        "method": manifest["method"]["title"],
        "labels": manifest["model"]["labels"],
        "counts": {name: manifest["counts"][name] for name in names},
        "hashes": manifest["hashes"],
        "versions": manifest["versions"],
        "seed": manifest.get("seed"),
    }
