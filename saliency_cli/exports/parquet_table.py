"""The export `parquet`: the lines of `csv` with column types, for data frames."""

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from saliency_cli.errors import UsageError
from saliency_cli.exports.interface import Export
from saliency_cli.exports.token_lines import COLUMNS, Line, lines_of
from saliency_cli.runs.finished_run import FinishedRun

ROW_GROUP_LINES = 65_536
"""Lines in a row group of the file; this many are in memory at a time."""


def parquet_table(run: FinishedRun) -> Iterator[bytes]:
    """Yield the table as Parquet, one row group at a time.

    Raises:
        UsageError: pyarrow is not installed.
    """
    pa, parquet = _import_pyarrow()
    types: dict[type, Callable[[], Any]] = {
        int: pa.int64,
        str: pa.string,
        float: pa.float64,
        bool: pa.bool_,
    }
    schema = pa.schema([(name, types[kind]()) for name, kind in COLUMNS.items()])
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, schema) as writer:
        for group in _row_groups(line for record in run.records() for line in lines_of(record)):
            writer.write_table(pa.table(_columns(group), schema=schema))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional dependency, slow to import
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed",
            "pip install 'saliency-cli[parquet]'",
        ) from None
    return pa, parquet


def _row_groups(lines: Iterable[Line]) -> Iterator[list[Line]]:
    remaining = iter(lines)
    while group := list(islice(remaining, ROW_GROUP_LINES)):
        yield group


def _columns(group: list[Line]) -> dict[str, list[Any]]:
    """Return the values of each column, None where a line has none."""
    return {
        name: [_number(line.get(name)) if kind is float else line.get(name) for line in group]
        for name, kind in COLUMNS.items()
    }


def _number(value: float | None) -> float | None:
    """Return the value as a float: other programs that rewrite JSON may write 1.0 as 1."""
    return None if value is None else float(value)


EXPORT = Export(
    "parquet",
    "the same lines with column types, for data frames (needs --output and pyarrow)",
    parquet_table,
    binary=True,
)
