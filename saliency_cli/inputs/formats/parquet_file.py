"""Parquet (extra `parquet`): rows are read from the row group that holds them."""

import io
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import Input
from saliency_cli.inputs.formats.interface import Wanted, no_rows_error
from saliency_cli.inputs.formats.line_reader import first_duplicate
from saliency_cli.inputs.formats.tables import (
    TableReader,
    TableRow,
    check_is_plain_file,
    missing_package,
    unreadable,
)
from saliency_cli.safe_text import excerpt, visible

KIND = "Parquet"
BATCH_ROWS = 1024
"""Rows that are in memory as Python objects at a time."""


class ParquetFormat:
    """The `Format` of Parquet."""

    suffixes = (".parquet",)

    def open(self, data: Input, wanted: Wanted) -> TableReader:
        """Read the schema of a file, and return a reader of its rows.

        Args:
            data: The open input.
            wanted: What was asked of it.

        Raises:
            UsageError: pyarrow is not installed, or the file cannot be read or has no row.
        """
        check_is_plain_file(data, wanted, kind=KIND)
        try:
            from pyarrow import parquet  # noqa: PLC0415 - an optional dependency, slow to import
        except ImportError:
            raise missing_package(
                data.name, kind=KIND, package="pyarrow", extra="parquet"
            ) from None
        try:
            # Without `pre_buffer` no thread reads ahead: workers are forked from this process. The
            # thread of pyarrow's allocator (jemalloc) survives a fork.
            file = parquet.ParquetFile(io.BufferedReader(data.cursor()), pre_buffer=False)
        except Exception as error:  # noqa: BLE001 - pyarrow's errors have no common class
            raise unreadable(data.name, error, kind=KIND) from None
        columns = file.schema_arrow.names
        duplicate = first_duplicate(columns)
        if duplicate is not None:
            raise UsageError(
                f"{visible(data.name)}: the column '{excerpt(duplicate)}' appears twice"
            )
        if file.metadata.num_rows == 0:
            raise no_rows_error(data.name)
        return TableReader(
            columns,
            lambda ordinal: _rows(file, ordinal, name=data.name),
            lines=lambda: range(1, file.metadata.num_rows + 1),
        )


def _rows(file: Any, ordinal: int, *, name: str) -> Iterator[TableRow]:  # noqa: ANN401 - pyarrow's
    """Yield the rows from an ordinal on."""
    metadata = file.metadata
    sizes = (metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    starts = [0, *accumulate(sizes)]
    first = bisect_right(starts, ordinal) - 1
    groups, skipped = [*range(first, metadata.num_row_groups)], ordinal - starts[first]
    line = ordinal + 1
    try:
        for batch in file.iter_batches(BATCH_ROWS, row_groups=groups, use_threads=False):
            rows = batch.slice(skipped).to_pylist()
            skipped = max(0, skipped - len(batch))
            for values in rows:
                yield TableRow(line, values)
                line += 1
    except Exception as error:  # noqa: BLE001 - see above
        raise unreadable(name, error, kind=KIND) from None
