"""All findings of the summary page, from one pass over the records.

A new finding needs three things: a class with `add` and `result` in its own file (the interface is
`finding.Finding`), an entry in `_collectors`, and a template
`templates/html/findings/NAME.html.j2` that renders its result.
"""

import json
from collections.abc import Iterable
from itertools import chain
from typing import TypeAlias

from saliency_cli.analysis.confusion import PredictionCounts
from saliency_cli.analysis.finding import Finding, FindingResult
from saliency_cli.analysis.first_look import FirstLookCounts
from saliency_cli.analysis.notable_rows import NotableRowCollector
from saliency_cli.analysis.quarantine import QuarantineReasons
from saliency_cli.analysis.unknown_gold import UnknownGoldCounts
from saliency_cli.analysis.word_shares import row_stats
from saliency_cli.analysis.word_statistics import WordCounts

Findings: TypeAlias = dict[str, FindingResult]
"""Name of a finding -> its result, in the order of the page."""


def _collectors(labels: tuple[str, ...]) -> dict[str, Finding]:
    """Return a new collector for each finding over explained rows, in the order of the page."""
    return {
        "first_look": FirstLookCounts(),
        "predictions": PredictionCounts(labels),
        "words": WordCounts(),
        "notable": NotableRowCollector(),
        "unknown_gold": UnknownGoldCounts(),
    }


def collect_findings(lines: Iterable[str], *, labels: tuple[str, ...]) -> Findings:
    """Return all findings of a run.

    Args:
        lines: the lines of the records; they are read once.
        labels: the model's labels, in its order.
    """
    collectors, quarantine = _collectors(labels), QuarantineReasons()
    for record in map(json.loads, lines):
        if record["status"] != "ok":
            quarantine.add(record)
            continue
        row = row_stats(record)
        for collector in collectors.values():
            collector.add(row)
    results = {name: collector.result() for name, collector in collectors.items()}
    return {**results, "quarantined": quarantine.result()}


def linked_rows(findings: Findings) -> tuple[int, ...]:
    """Return the ordinals of the rows that the findings link to, each once, priority rows first."""
    results = findings.values()
    priority = chain.from_iterable(result.priority_rows for result in results)
    examples = chain.from_iterable(result.example_rows for result in results)
    return tuple(dict.fromkeys(chain(priority, examples)))
