"""The export `csv`: one line per token, for spreadsheets."""

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from saliency_cli.exports.interface import Export
from saliency_cli.exports.token_lines import COLUMNS, lines_of
from saliency_cli.runs.finished_run import FinishedRun

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings of a cell that a spreadsheet may run as a formula (OWASP, "CSV Injection")."""
_SPLIT_FORMULA = re.compile(r"([;\t\r\n])(?=[\s\"]*[=+\-@＝＋－＠])")
"""A separator before the beginning of a formula. Where the decimal sign is a comma, a spreadsheet
splits lines at semicolons, and takes no notice of quotes inside its cells; an import may split at
tabs."""


def csv_table(run: FinishedRun) -> Iterator[bytes]:
    """Yield the table as CSV, the lines of one record at a time."""
    yield from csv_chunks(COLUMNS, map(lines_of, run.records()))


def csv_chunks(
    columns: Collection[str], groups: Iterable[Iterable[Mapping[str, object]]]
) -> Iterator[bytes]:
    """Yield a table as CSV (RFC 4180).

    Args:
        columns: The names of the columns.
        groups: Lines by column, in groups that are yielded together.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for group in groups:
        for line in group:
            writer.writerow([_cell(line.get(name)) for name in columns])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    if buffer.tell():  # the header of a table without lines
        yield buffer.getvalue().encode()


def _cell(value: object) -> object:
    """Return what is written for a value; in a text, `'` is put before what looks like a formula.

    A number is written as it is: it may begin with a minus, and no input text can be in it.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return value
    text = _SPLIT_FORMULA.sub(r"\1'", value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


EXPORT = Export("csv", "one line per token, for spreadsheets", csv_table)
