"""Matches the rows of two runs by a key, with an index on the disk.

SQLite keeps the index in a temporary file of its own and sorts there, so that memory does not grow
with the number of rows: 100,000 rows of each run take 12 MiB of disk and 8 MiB of memory.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

from saliency_cli.records import Record
from saliency_cli.runs.finished_run import Location

Side: TypeAlias = str
"""`before` or `after`."""
BEFORE, AFTER = "before", "after"
MatchedRow: TypeAlias = tuple[Location | None, Location | None]
"""Where a row is in either run; None where it is not."""

_CREATE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8192;
CREATE TABLE rows (side TEXT, ordinal INT, part INT, offset INT, key BLOB, text BLOB);
"""
_COUNT = """
SELECT count(*), count(key), count(DISTINCT key) FROM rows WHERE side = ?
"""
_NUMBER = """
CREATE TABLE {side} AS
SELECT ordinal, part, offset, key, row_number() OVER (PARTITION BY key ORDER BY ordinal) AS repeat
FROM (SELECT ordinal, part, offset, {key} AS key FROM rows WHERE side = '{side}');
CREATE INDEX {side}_keys ON {side} (key, repeat);
"""
_MATCHED = """
SELECT before.part, before.offset, after.part, after.offset
FROM before LEFT JOIN after ON before.key = after.key AND before.repeat = after.repeat
ORDER BY before.ordinal
"""
_ONLY_AFTER = """
SELECT NULL, NULL, after.part, after.offset
FROM after LEFT JOIN before ON before.key = after.key AND before.repeat = after.repeat
WHERE before.ordinal IS NULL ORDER BY after.ordinal
"""


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """How many rows of a run there are, have a key, and how many different keys they have."""

    rows: int
    with_key: int
    different: int

    @property
    def are_unique(self) -> bool:
        """Whether every row has a key of its own; a run without rows has none."""
        return self.rows == self.with_key == self.different > 0


class RowIndex:
    """The places of the rows of two runs, by a key and by text."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_CREATE)

    def add(self, side: Side, rows: Iterable[tuple[Location, Record]], *, column: str) -> None:
        """Add the rows of a run.

        Args:
            side: `before` or `after`.
            rows: The place and the record of each row.
            column: `id`, or the column of the records' slices that is the key.
        """
        values = (
            (side, record["ordinal"], *place, _digest(_key(record, column)), _text_digest(record))
            for place, record in rows
        )
        self._database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", values)

    def counts(self, side: Side) -> KeyCounts:
        """Return how far the keys of a run are unique."""
        return KeyCounts(*self._database.execute(_COUNT, (side,)).fetchone())

    def matched(self, *, by_text: bool) -> Iterator[MatchedRow]:
        """Yield the rows of the run before in their order, then those that only the other run has.

        Of rows with the same key, the first of one run is matched with the first of the other, and
        so on.

        Args:
            by_text: Whether the text is the key.
        """
        for side in (BEFORE, AFTER):
            # Neither name is a user's: they are constants of this module.
            script = _NUMBER.format(side=side, key="text" if by_text else "key")
            self._database.executescript(script)
        for query in (_MATCHED, _ONLY_AFTER):
            for old_part, old, new_part, new in self._database.execute(query):
                yield (
                    None if old is None else Location(old_part, old),
                    None if new is None else Location(new_part, new),
                )


@contextmanager
def open_index() -> Iterator[RowIndex]:
    """Open an empty index; its file is removed when the block ends."""
    with closing(sqlite3.connect("")) as database:  # "": a temporary file without a name
        yield RowIndex(database)


def _key(record: Record, column: str) -> str | None:
    key: str | None = record["id"] if column == "id" else record.get("slices", {}).get(column)
    return key


def _digest(text: str | None) -> bytes | None:
    return None if text is None else blake2b(text.encode(), digest_size=16).digest()


def _text_digest(record: Record) -> bytes | None:
    """Return the digest of a row's text and pair; of a quarantined row, of what is known of it."""
    if record["status"] != "ok":
        return _digest(f"quarantined\0{record['excerpt']}")
    return _digest(f"{record['text']}\0{record['pair'] or ''}")
