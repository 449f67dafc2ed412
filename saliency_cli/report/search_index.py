"""What search and sort use of a row, and the script files that contain it for many rows."""

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from saliency_cli.analysis.quarantine import reason_kind
from saliency_cli.records import Record
from saliency_cli.report.bounds import cut_name
from saliency_cli.report.row_view import RowView, script_safe_json, searchable_text
from saliency_cli.safe_text import visible

_WHITE = re.compile(r"\s+")

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
        shades: the shades of the text from its beginning, see `shade_runs`; None where the page
            has the shaded text itself.
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
    shades: str | None = None
    reason: str | None = None
    exact: dict[str, str] | None = None

    def json(self) -> str:
        """Return the entry as a JSON array of its fields, safe inside a script element."""
        values = [getattr(self, name) for name in ENTRY_FIELDS]
        line = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
        return script_safe_json(line, values)


ENTRY_FIELDS = tuple(field.name for field in fields(Entry))
"""Names of an entry's values, in the order of its JSON array; the pages pass them to the script."""


def search_entry(row: RowView, *, shaded: bool = False) -> Entry:
    """Return a row's entry, with invisible characters escaped as on the page.

    Args:
        row: the row.
        shaded: whether the entry has the shades, too.
    """
    record = row.record
    if record["status"] != "ok":
        return _quarantined_entry(record)
    lead = None if row.lead is None else row.lead.text
    chunks = shaded_chunks(row)
    names = {"predicted": record["predicted"], "gold": record["gold"], "lead": lead}
    return Entry(
        ordinal=record["ordinal"],
        correct=row.correct,
        probability=record["probability"],
        error=four_digits(row.error),
        flip_rate=record["flip_rate"],
        special_share=four_digits(record["special_share"]),
        flags=_flags(record),
        text="".join(text for text, _ in chunks),
        shades=shade_runs(chunks) if shaded else None,
        **shown_and_exact({"id": record["id"], **names}),
    )


def _quarantined_entry(record: Record) -> Entry:
    return Entry(
        ordinal=record["ordinal"],
        flags="quarantined",
        text=searchable_text(f"{record['reason']}\n{record['excerpt']}"),
        **shown_and_exact({"id": record["id"], "reason": reason_kind(record["reason"])}),
    )


Chunk: TypeAlias = tuple[str, str]
"""A part of the text, on one line, and its shade: `s3`, `n1`, or "" for none."""

_LEVELS = range(1, 7)
_CODES = {f"s{level}": "_ABCDEF"[level] for level in _LEVELS} | {
    f"n{level}": "_abcdef"[level] for level in _LEVELS
}


def shaded_chunks(row: RowView) -> list[Chunk]:
    """Return the text of a row for its first target, and its pair after a blank, in chunks."""
    chunks: list[Chunk] = []
    for spans in row.shadings[0].texts:
        if chunks:
            chunks.append((" ", ""))
        for text, css, _, parts in spans:
            if not css.endswith("special"):
                whole = "".join(part.text for part in parts) if parts else text
                chunks.append((_on_one_line(whole, chunks), css[2:4] if css[1:2] == " " else ""))
    return chunks


def _on_one_line(text: str, before: list[Chunk]) -> str:
    """Return text with its white space as single blanks, none of them after a blank."""
    if text.isprintable():
        return text
    blank = bool(before) and before[-1][0].endswith(" ")
    return visible(_WHITE.sub(" ", text).removeprefix(" " if blank else ""))


def shade_runs(chunks: Iterable[Chunk]) -> str:
    """Return the shades of a text as runs: a letter for the shade, and its number of UTF-16 units.

    A to F are the shades 1 to 6 for the target, a to f those against it, and _ is none. A run of
    one unit has no number: `_5C4_` is five without, four of shade 3, and one without.
    """
    runs: list[list[Any]] = []
    for text, shade in chunks:
        code, units = _CODES.get(shade, "_"), _utf16_units(text)
        if runs and runs[-1][0] == code:
            runs[-1][1] += units
        elif units:
            runs.append([code, units])
    return "".join(f"{code}{units if units > 1 else ''}" for code, units in runs)


def _utf16_units(text: str) -> int:
    """Return the length of a text as JavaScript counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def shown_and_exact(values: dict[str, str | None]) -> dict[str, Any]:
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


def four_digits(value: float | None) -> float | None:
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
