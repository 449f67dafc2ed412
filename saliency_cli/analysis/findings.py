"""Records -> what an auditor looks for: one pass, in memory that does not grow with the rows."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

from saliency_cli.analysis.confusion import Confusion, Histogram, Judgements
from saliency_cli.analysis.notable_rows import Notable, NotableRows
from saliency_cli.analysis.word_shares import row_stats
from saliency_cli.analysis.word_statistics import LabelWords, Suspect, WordCounts
from saliency_cli.records import Record

SUSPECTS_SHOWN = 10
LABELS_SHOWN = 8
WORDS_SHOWN = 8
MISTAKES_SHOWN = 6
REASONS_SHOWN = 50
ROWS_KEPT = 5


@dataclass(frozen=True, slots=True)
class BadRows:
    """Rows that were quarantined for one reason: how many, and the ordinals of the first.

    No reason stands for all those past the first so many.
    """

    reason: str | None
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the summary page shows beside the run's numbers; empty where it has no meaning.

    Rows are named by their ordinals.
    """

    histogram: Histogram | None
    confusion: Confusion | None
    suspects: tuple[Suspect, ...]
    labels: tuple[LabelWords, ...]
    hidden_labels: int
    notable: tuple[Notable, ...]
    quarantined: tuple[BadRows, ...]

    @property
    def named(self) -> tuple[int, ...]:
        """The rows that the page names, each once, in the order of the page."""
        leads = (word.rows for label in self.labels for word in label.words)
        mistakes = self.confusion.mistakes if self.confusion else ()
        groups = chain(
            (suspect.lead.rows for suspect in self.suspects),
            ((row.ordinal for row in notable.rows) for notable in self.notable),
            (cell.rows for cell in mistakes),
            leads,
            (bad.rows for bad in self.quarantined),
        )
        return tuple(dict.fromkeys(chain.from_iterable(groups)))


@dataclass(slots=True)
class _Quarantine:
    """Why rows are quarantined."""

    reasons: dict[str | None, BadRows] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        reason: str | None = record["reason"]
        if reason not in self.reasons and len(self.reasons) >= REASONS_SHOWN:
            reason = None
        known = self.reasons.get(reason, BadRows(reason, 0, ()))
        rows = (*known.rows, record["ordinal"])[:ROWS_KEPT]
        self.reasons[reason] = BadRows(reason, known.count + 1, rows)

    def found(self) -> tuple[BadRows, ...]:
        return tuple(sorted(self.reasons.values(), key=lambda bad: (-bad.count, bad.reason or "")))


def find(lines: Iterable[str], *, labels: tuple[str, ...]) -> Findings:
    """Read the lines of the records once; `labels` are the model's, in its order."""
    judgements, counts = Judgements(labels), WordCounts()
    notable, quarantine = NotableRows(), _Quarantine()
    for record in map(json.loads, lines):
        if record["status"] != "ok":
            quarantine.add(record)
            continue
        seen = row_stats(record)
        counts.add(seen)
        notable.add(seen)
        judgements.add(seen)
    found = counts.by_label(most=WORDS_SHOWN)
    return Findings(
        histogram=judgements.histogram(),
        confusion=judgements.confusion(most=MISTAKES_SHOWN),
        suspects=counts.suspects(most=SUSPECTS_SHOWN),
        labels=found[:LABELS_SHOWN],
        hidden_labels=len(found[LABELS_SHOWN:]),
        notable=notable.found(),
        quarantined=quarantine.found(),
    )
