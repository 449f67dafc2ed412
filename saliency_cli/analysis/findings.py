"""All findings of the summary page, from one pass over the records.

A new finding needs three things: a class with `add` and `result` in its own file (the interface is
`finding.Finding`), an entry in `_collectors`, and a template
`templates/html/findings/NAME.html.j2` that renders its result.
"""

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, TypeAlias, cast

from saliency_cli.analysis.confusion import PredictionCounts
from saliency_cli.analysis.finding import Finding, FindingResult
from saliency_cli.analysis.first_look import FirstLookCounts
from saliency_cli.analysis.notable_rows import NotableRowCollector
from saliency_cli.analysis.quarantine import QuarantineReasons
from saliency_cli.analysis.suspect_checks import SuspectCheck
from saliency_cli.analysis.unknown_gold import UnknownGoldCounts
from saliency_cli.analysis.weakness import WeaknessCollector
from saliency_cli.analysis.word_shares import row_stats
from saliency_cli.analysis.word_statistics import WordCounts, WordFindings
from saliency_cli.figures.labels import doubt_thresholds

Findings: TypeAlias = dict[str, FindingResult]
"""Name of a finding -> its result, in the order of the page."""


def _collectors(labels: tuple[str, ...], counts: Mapping[str, Any] | None) -> dict[str, Finding]:
    """Return a new collector for each finding over explained rows, in the order of the page."""
    return {
        "first_look": FirstLookCounts(),
        "predictions": PredictionCounts(labels),
        "words": WordCounts(),
        "weakness": WeaknessCollector(counts),
        "notable": NotableRowCollector(doubt_thresholds(counts)),
        "unknown_gold": UnknownGoldCounts(),
    }


def collect_findings(
    lines: Iterable[str],
    *,
    labels: tuple[str, ...],
    counts: Mapping[str, Any] | None = None,
    words: WordFindings | None = None,
) -> Findings:
    """Return all findings of a run.

    Args:
        lines: the lines of the records; they are read once.
        labels: the model's labels, in its order.
        counts: the run's summary, from its manifest; None shows no figure of it.
        words: what `collect_words` returned, where that is known.
    """
    collectors, quarantine = _collectors(labels, counts), QuarantineReasons()
    missing = [each for name, each in collectors.items() if words is None or name != "words"]
    for record in map(json.loads, lines):
        if record["status"] != "ok":
            quarantine.add(record)
            continue
        row = row_stats(record)
        for collector in missing:
            collector.add(row)
    results = {name: collector.result() for name, collector in collectors.items()}
    if words is not None:
        results["words"] = words
    return {**results, "quarantined": quarantine.result()}


def collect_words(lines: Iterable[str]) -> WordFindings:
    """Return the leading words and suspects of a run, which need no figure of its summary.

    Args:
        lines: the lines of the records; they are read once.
    """
    words = WordCounts()
    for record in map(json.loads, lines):
        if record["status"] == "ok":
            words.add(row_stats(record))
    return words.result()


def word_findings(findings: Findings) -> WordFindings:
    """Return the leading words and suspects among the findings of a run."""
    return cast("WordFindings", findings["words"])


def with_checks(findings: Findings, entries: Iterable[Mapping[str, Any]]) -> Findings:
    """Return findings whose suspects have their checks.

    Args:
        findings: All findings of a run.
        entries: What `suspects.json` of the run holds.
    """
    checks = map(SuspectCheck.from_json, entries)
    return {**findings, "words": word_findings(findings).with_checks(checks)}


def linked_rows(findings: Findings) -> tuple[int, ...]:
    """Return the ordinals of the rows that the findings link to, each once, priority rows first."""
    results = findings.values()
    priority = chain.from_iterable(result.priority_rows for result in results)
    examples = chain.from_iterable(result.example_rows for result in results)
    return tuple(dict.fromkeys(chain(priority, examples)))
