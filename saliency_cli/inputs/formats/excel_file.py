"""Excel's .xlsx (extra `xlsx`): the first sheet, its first filled row as header."""

import io
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any
from zipfile import ZipFile

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import Input
from saliency_cli.inputs.byte_streams import FileCursor
from saliency_cli.inputs.formats.delimited import read_header
from saliency_cli.inputs.formats.interface import Wanted, no_rows_error
from saliency_cli.inputs.formats.tables import (
    TableReader,
    TableRow,
    check_is_plain_file,
    missing_package,
    unreadable,
)
from saliency_cli.inputs.line_splitter import LineGroup
from saliency_cli.safe_text import excerpt, visible

KIND = ".xlsx"
MAX_PART_BYTES = 512 << 20
"""Unpacked bytes of a part that openpyxl reads at once: shared texts, styles. A file may unpack to
a thousand times its size. Sheets are read row by row."""


class ExcelFormat:
    """The `Format` of Excel's workbooks."""

    suffixes = (".xlsx",)

    def open(self, data: Input, wanted: Wanted) -> TableReader:
        """Read the header of the first sheet, and return a reader of its rows.

        Args:
            data: The open input.
            wanted: What was asked of it.

        Raises:
            UsageError: openpyxl is not installed, or the file cannot be read or has no row.
        """
        check_is_plain_file(data, wanted, kind=KIND)
        sheets = _sheets(data)
        filled = _filled_rows(sheets[0], data.name)
        line, cells = next(filled, (1, ()))
        if next(filled, None) is None:
            raise no_rows_error(data.name)
        fields = ["" if cell is None else str(cell) for cell in cells]
        header = read_header(LineGroup(b"", 0, line, 0, fields), data.name)

        def rows(ordinal: int) -> Iterator[TableRow]:
            texts = islice(_filled_rows(sheets[0], data.name), ordinal + 1, None)
            return (_table_row(line, cells, header) for line, cells in texts)

        title = excerpt(sheets[0].title)
        return TableReader(
            [name for name in header if name.strip()],
            rows,
            lines=lambda: (row.line for row in rows(0)),
            notes=[f"from its first sheet '{title}' of {len(sheets)}"] if len(sheets) > 1 else (),
        )


def _sheets(data: Input) -> list[Any]:
    try:
        from openpyxl import load_workbook  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise missing_package(data.name, kind=KIND, package="openpyxl", extra="xlsx") from None
    # openpyxl warns of formats and validations that it does not read; a cell's value needs none.
    warnings.filterwarnings("ignore", module="openpyxl")
    try:
        file = io.BufferedReader(data.cursor())
        _check_sizes(file, data.name)
        sheets = load_workbook(file, read_only=True, data_only=True).worksheets
    except UsageError:
        raise
    except Exception as error:  # noqa: BLE001 - of zip, XML and openpyxl, of no common class
        raise unreadable(data.name, error, kind=KIND) from None
    if not sheets:
        raise no_rows_error(data.name)
    return list(sheets)


def _check_sizes(file: "io.BufferedReader[FileCursor]", name: str) -> None:
    """Raise UsageError if a part that is read at once is too large; zipfile reads no more of it."""
    for part in ZipFile(file).infolist():
        is_sheet = part.filename.startswith("xl/worksheets/")
        if part.file_size > MAX_PART_BYTES and not is_sheet:
            raise UsageError(
                f"{visible(name)}: {excerpt(part.filename)} has {part.file_size:,} bytes unpacked",
                "save it as .csv",
            )


def _filled_rows(sheet: Any, name: str) -> Iterator[tuple[int, tuple[Any, ...]]]:  # noqa: ANN401
    """Yield number and cells of each row with a value, without the empty cells at its end."""
    sheet.reset_dimensions()  # which some programs write wrongly, and rows would be cut by
    rows = enumerate(sheet.iter_rows(values_only=True), 1)
    while True:
        try:
            line, cells = next(rows)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - see above
            raise unreadable(name, error, kind=KIND) from None
        filled = [at for at, cell in enumerate(cells, 1) if cell is not None and cell != ""]
        if filled:
            yield line, cells[: filled[-1]]


def _table_row(line: int, cells: tuple[Any, ...], header: list[str]) -> TableRow:
    if len(cells) > len(header):
        return TableRow(line, {}, f"{len(cells)} fields where the header has {len(header)}")
    padded = (*cells, *[None] * (len(header) - len(cells)))
    named = zip(header, padded, strict=True)
    return TableRow(line, {name: cell for name, cell in named if name.strip()})
