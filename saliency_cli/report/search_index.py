"""What search and sort know of a row, and the script files that bring it to a page of many rows."""

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from saliency_cli.records import Record
from saliency_cli.report.row_view import RowView, embedded, plain

PART_BYTES = 3 * 2**20
"""Entries in one part, before packing: base64 of what cannot be packed stays under 5 MB."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, in the order of the fields that `search.js` reads."""

    ordinal: int
    id: str | None
    predicted: str | None
    gold: str | None
    right: bool | None
    probability: float | None
    error: float | None
    flip_rate: float | None
    special_share: float | None
    lead: str | None
    flags: str
    text: str

    def json(self) -> str:
        """Return the entry as a JSON array that may stand in a page."""
        values = [getattr(self, name) for name in FIELDS]
        return embedded(json.dumps(values, ensure_ascii=False, separators=(",", ":")), values)


FIELDS = tuple(field.name for field in fields(Entry))


def entry(row: RowView) -> Entry:
    """Return what can be searched of a row: as it is shown, so that nothing acts there either."""
    record = row.record
    if record["status"] != "ok":
        return _quarantined(record)
    return Entry(
        record["ordinal"],
        _plain(record["id"]),
        _plain(record["predicted"]),
        _plain(record["gold"]),
        row.right,
        _short(record["probability"]),
        _short(max(record["errors"], default=None) if record["errors"] else None),
        _short(record["flip_rate"]),
        _short(record["special_share"]),
        None if row.lead is None else plain(row.lead.text).casefold(),
        _flags(record),
        plain("\n".join(filter(None, (record["text"], record["pair"])))),
    )


def _quarantined(record: Record) -> Entry:
    text = plain(f"{record['reason']}\n{record['excerpt']}")
    nothing = (None,) * 8
    return Entry(record["ordinal"], _plain(record["id"]), *nothing, "quarantined", text)


def _flags(record: Record) -> str:
    flags = {
        "truncated": record["truncated"],
        "windows": record["windows"] > 1,
        "pair": record["pair"] is not None,
    }
    return " ".join(name for name, given in flags.items() if given)


def _plain(text: str | None) -> str | None:
    return None if text is None else plain(text)


def _short(value: float | None) -> float | None:
    """Keep four digits: enough to sort and to compare by."""
    return None if value is None else float(f"{value:.4g}")


@dataclass(slots=True)
class Packer:
    """Collects entries, and hands them out in parts of a bounded size."""

    held: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, entries: Iterable[str]) -> Iterator[str]:
        """Take in entries; yield a part whenever one is full."""
        for text in entries:
            self.held.append(text)
            self.size += len(text)
            if self.size >= PART_BYTES:
                yield from self.rest()

    def rest(self) -> Iterator[str]:
        """Yield what is left, if anything is."""
        if self.held:
            yield packed(self.held)
        self.held, self.size = [], 0


def packed(entries: list[str]) -> str:
    """Return entries as one JSON array, deflated and in base64: text that a script may hold."""
    data = f"[{','.join(entries)}]".encode()
    return base64.b64encode(zlib.compress(data)).decode("ascii")
