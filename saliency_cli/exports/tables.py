"""One line a token: CSV for spreadsheets, Parquet for data frames."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeAlias

from saliency_cli.errors import UsageError
from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun

Line: TypeAlias = dict[str, Any]

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
"""The columns, in order; what a line has no value for is empty."""
GROUP = 65_536
"""Lines in a row group of Parquet, and in memory."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_table(run: FinishedRun) -> Iterator[bytes]:
    """Write a line a token, by RFC 4180; no text of a cell can be taken for a formula."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for record in run.records():
        for line in lines(record):
            writer.writerow([_cell(line.get(name)) for name in COLUMNS])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


def lines(record: Record) -> Iterator[Line]:
    """Yield a line for each token of each target; of a quarantined row one, with the reason."""
    if record["status"] != "ok":
        yield {name: record[name] for name in ("ordinal", "id", "status", "reason")}
        return
    names = ("ordinal", "id", "status", "predicted", "probability", "gold")
    row = {name: record[name] for name in names}
    for target in (record, *record.get("others", ())):
        for line in _token_lines(record, target):
            yield {**row, "target": target["target"], **line}


def _token_lines(record: Record, target: Mapping[str, Any]) -> Iterator[Line]:
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


def _cell(value: object) -> object:
    """Keep a spreadsheet from running a text; a number is ours, and may have a sign."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def parquet_table(run: FinishedRun) -> Iterator[bytes]:
    """Write a line a token as Parquet, a row group at a time.

    Raises:
        UsageError: pyarrow is not installed.
    """
    pa, parquet = _pyarrow()
    types: dict[type, Callable[[], Any]] = {
        int: pa.int64,
        str: pa.string,
        float: pa.float64,
        bool: pa.bool_,
    }
    schema = pa.schema([(name, types[kind]()) for name, kind in COLUMNS.items()])
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, schema) as writer:
        for group in _groups(line for record in run.records() for line in lines(record)):
            columns = {
                name: [
                    _number(line.get(name)) if kind is float else line.get(name) for line in group
                ]
                for name, kind in COLUMNS.items()
            }
            writer.write_table(pa.table(columns, schema=schema))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, which only this format needs
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed",
            "pip install 'saliency-cli[parquet]'",
        ) from None
    return pa, parquet


def _number(value: float | None) -> float | None:
    """Return a number as the type of its column: JSON writes 1.0 as 1 in other hands."""
    return None if value is None else float(value)


def _groups(found: Iterable[Line]) -> Iterator[list[Line]]:
    remaining = iter(found)
    while group := list(islice(remaining, GROUP)):
        yield group
