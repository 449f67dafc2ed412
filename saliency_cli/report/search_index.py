"""What search and sort use of a row, and the script files that contain it for many rows."""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from saliency_cli.analysis.quarantine import reason_kind
from saliency_cli.records import Record
from saliency_cli.report.bounds import cut_name
from saliency_cli.report.row_view import RowView, script_safe_json, searchable_text

PART_BYTES = 3 * 2**20
"""Size of one part's entries before compression; incompressible ones stay under 5 MB in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What can be searched of one row; None where a row has no value.

    The page's script gets the names of the fields from here (`ENTRY_FIELDS`) and uses the same.

    Attributes:
        ordinal: the row's number in the input, from 0.
        correct: whether the prediction is correct.
        error: the largest standard error of a token.
        predicted: the predicted label, as the page shows it; `gold` and `lead` likewise.
        lead: the leading word.
        reason: the kind of reason why the row is quarantined.
        exact: field -> its value in the record, for those of `predicted`, `gold`, `lead`, `id` and
            `reason` that the page shows in another way; None if there is none.
        flags: words that a search finds the row by, separated by spaces.
        text: the text and its pair, or a quarantined row's reason and excerpt.
    """

    ordinal: int
    id: str | None
    predicted: str | None = None
    gold: str | None = None
    correct: bool | None = None
    probability: float | None = None
    error: float | None = None
    flip_rate: float | None = None
    special_share: float | None = None
    lead: str | None = None
    flags: str
    text: str
    reason: str | None = None
    exact: dict[str, str] | None = None

    def json(self) -> str:
        """Return the entry as a JSON array of its fields, safe inside a script element."""
        values = [getattr(self, name) for name in ENTRY_FIELDS]
        line = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        return script_safe_json(line, values)


ENTRY_FIELDS = tuple(field.name for field in fields(Entry))
"""Names of an entry's values, in the order of its JSON array; the pages pass them to the script."""


def search_entry(row: RowView) -> Entry:
    """Return a row's entry, with invisible characters escaped as on the page."""
    record = row.record
    if record["status"] != "ok":
        return _quarantined_entry(record)
    lead = None if row.lead is None else row.lead.text
    names = {"predicted": record["predicted"], "gold": record["gold"], "lead": lead}
    return Entry(
        ordinal=record["ordinal"],
        correct=row.correct,
        probability=record["probability"],
        error=_rounded(row.error),
        flip_rate=record["flip_rate"],
        special_share=_rounded(record["special_share"]),
        flags=_flags(record),
        text=searchable_text("\n".join(filter(None, (record["text"], record["pair"])))),
        **_shown_and_exact({"id": record["id"], **names}),
    )


def _quarantined_entry(record: Record) -> Entry:
    return Entry(
        ordinal=record["ordinal"],
        flags="quarantined",
        text=searchable_text(f"{record['reason']}\n{record['excerpt']}"),
        **_shown_and_exact({"id": record["id"], "reason": reason_kind(record["reason"])}),
    )


def _shown_and_exact(values: dict[str, str | None]) -> dict[str, Any]:
    """Return the fields as the page shows them, and `exact` with those that it shows otherwise."""
    cut = {name: None if text is None else cut_name(text) for name, text in values.items()}
    shown = {name: None if text is None else searchable_text(text) for name, text in cut.items()}
    exact = {name: text for name, text in cut.items() if text != shown[name]}
    return {**shown, "exact": exact or None}


def _flags(record: Record) -> str:
    flags = {
        "truncated": record["truncated"],
        "windows": record["windows"] > 1,
        "pair": record["pair"] is not None,
    }
    return " ".join(name for name, is_set in flags.items() if is_set)


def _rounded(value: float | None) -> float | None:
    """Round to four significant digits: enough to sort. A number that is counted stays as it is."""
    return None if value is None else float(f"{value:.4g}")


@dataclass(slots=True)
class IndexPacker:
    """Collects entries and yields them in compressed parts of a bounded size."""

    entries: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, entries: Iterable[str]) -> Iterator[str]:
        """Add entries in JSON; yield each part that becomes full."""
        for text in entries:
            self.entries.append(text)
            self.size += len(text)
            if self.size >= PART_BYTES:
                yield from self.flush()

    def flush(self) -> Iterator[str]:
        """Yield the entries that no part holds yet, if there are any, as the last part."""
        if self.entries:
            yield compressed(self.entries)
        self.entries, self.size = [], 0


def compressed(entries: list[str]) -> str:
    """Return entries in JSON as one JSON array, compressed with zlib, in base64."""
    data = f"[{','.join(entries)}]".encode()
    return base64.b64encode(zlib.compress(data)).decode("ascii")
