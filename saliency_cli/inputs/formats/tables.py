"""What formats by cells share: rows found by their number, in a file that is not text."""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import Input
from saliency_cli.inputs.dialect import Dialect
from saliency_cli.inputs.formats.interface import ParsedRow, Wanted
from saliency_cli.records import RowPosition
from saliency_cli.safe_text import visible


class TableRow(NamedTuple):
    """A row: its number in the file, its values by column, and why it cannot be read, or None."""

    line: int
    values: dict[str, Any]
    problem: str | None = None


class TableReader:
    """A `RowReader` over the rows of a table.

    Attributes:
        columns: The names of the columns.
        notes: What was found in the file and not asked for.
    """

    dialect = Dialect()

    def __init__(
        self,
        columns: Sequence[str],
        rows: Callable[[int], Iterator[TableRow]],
        *,
        lines: Callable[[], Iterable[int]],
        notes: Sequence[str] = (),
    ) -> None:
        """Keep how rows are read.

        Args:
            columns: The names of the columns.
            rows: Returns the rows from the one with this ordinal on.
            lines: Returns the rows' numbers in the file.
            notes: What was found in the file and not asked for.
        """
        self.columns = columns
        self.notes = notes
        self._rows = rows
        self._lines = lines
        self._open_rows: Iterator[TableRow] = iter(())
        self._next_ordinal: int | None = None  # of the first row in `_open_rows`

    def positions(
        self,
        every: int,
        *,
        limit: int | None,
        spool: Path | None,  # noqa: ARG002 - no stream
    ) -> Generator[RowPosition, None, int]:
        """Yield the position of every `every`-th row, and return the number of rows.

        Args:
            every: Rows from one position to the next.
            limit: Maximum number of rows to count, or None for all.
            spool: None: a table is never read from a stream.
        """
        count = 0
        for line in islice(self._lines(), limit):
            if count % every == 0:
                yield RowPosition(count, 0, line)
            count += 1
        return count

    def rows_from(self, position: RowPosition) -> Iterator[ParsedRow]:
        """Yield the rows from a position on; rows that are open before it are read on."""
        ahead = -1 if self._next_ordinal is None else position.ordinal - self._next_ordinal
        if ahead < 0:
            self._open_rows, ahead = self._rows(position.ordinal), 0
        self._next_ordinal = position.ordinal
        for row in islice(self._open_rows, ahead, None):
            self._next_ordinal += 1
            yield _parsed(row)

    def all_rows(self) -> Iterator[ParsedRow]:
        """Yield all rows."""
        return map(_parsed, self._rows(0))


def _parsed(row: TableRow) -> ParsedRow:
    values = {name: _as_json_has_it(value) for name, value in row.values.items()}
    data = json.dumps(values, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
    return ParsedRow(row.line, values, row.problem, data, 0)


def _as_json_has_it(value: Any) -> Any:  # noqa: ANN401 - whatever a cell holds
    """Return a cell's value, a date or a decimal number as text, and None for NaN."""
    if value != value:  # noqa: PLR0124 - NaN is what data frames write where nothing is
        return None
    return value if isinstance(value, str | int | float | list | dict | None) else str(value)


def check_is_plain_file(data: Input, wanted: Wanted, *, kind: str) -> None:
    """Check that an input can be read by its end, and that no option of text is given.

    Args:
        data: The open input.
        wanted: What was asked of it.
        kind: What the format is called.

    Raises:
        UsageError: It is a stream, or compressed, or an encoding or a delimiter was given.
    """
    if not data.seekable or data.gzipped:
        raise UsageError(
            f"{visible(data.name)}: {kind} is read from a file that is not compressed",
            "save it as a file, and give its path",
        )
    if wanted.dialect != Dialect():
        raise UsageError(
            f"--encoding and --delimiter are of text files, and {visible(data.name)} is {kind}",
            "leave them out",
        )


def missing_package(name: str, *, kind: str, package: str, extra: str) -> UsageError:
    """Return the error for a format whose package is not installed.

    Args:
        name: The input's name.
        kind: What the format is called.
        package: The package.
        extra: The name of the optional dependency that installs it.
    """
    return UsageError(
        f"{visible(name)}: {kind} is read with {package}, which is not installed",
        f"pip install 'saliency-cli[{extra}]'",
    )


def unreadable(name: str, error: Exception, *, kind: str) -> UsageError:
    """Return the error for a file that is damaged, or of another format.

    Args:
        name: The input's name.
        error: What its package raised.
        kind: What the format is called.
    """
    detail = visible(str(error).partition("\n")[0])[:200] or type(error).__name__
    return UsageError(f"{visible(name)} is not a readable {kind} file: {detail}")
