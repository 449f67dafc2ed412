"""The table that `csv` and `parquet` share: one line per token."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from saliency_cli.records import Record

Line: TypeAlias = dict[str, Any]
"""One line of the table: column name -> value. A column without a value is absent."""

COLUMNS: dict[str, type] = {
    "ordinal": int,
    "id": str,
    "status": str,
    "predicted": str,
    "probability": float,
    "gold": str,
    "target": str,
    "index": int,
    "token": str,
    "start": int,
    "end": int,
    "segment": int,
    "special": bool,
    "score": float,
    "error": float,
    "reason": str,
}
"""The columns in order, with their types. A line leaves a column empty if it has no value."""
_ROW_COLUMNS = ("ordinal", "id", "status", "predicted", "probability", "gold")
_QUARANTINED_COLUMNS = ("ordinal", "id", "status", "reason")


def lines_of(record: Record) -> Iterator[Line]:
    """Yield one line for each token of each target; for a quarantined row one line in all."""
    if record["status"] != "ok":
        yield {name: record[name] for name in _QUARANTINED_COLUMNS}
        return
    row = {name: record[name] for name in _ROW_COLUMNS}
    for target in (record, *record.get("others", ())):
        for line in _token_lines(record, target):
            yield {**row, "target": target["target"], **line}


def _token_lines(record: Record, target: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the columns of each token, with its score and standard error for one target."""
    count = len(record["tokens"])
    columns = (
        record["tokens"],
        record["offsets"],
        record.get("segments") or [0] * count,
        record["special"],
        target["scores"],
        target["errors"] or [None] * count,
    )
    for index, (token, (start, end), segment, special, score, error) in enumerate(
        zip(*columns, strict=True)
    ):
        yield {
            "index": index,
            "token": token,
            "start": start,
            "end": end,
            "segment": segment,
            "special": special,
            "score": score,
            "error": error,
        }
