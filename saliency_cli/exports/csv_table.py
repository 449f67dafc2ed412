"""The export `csv`: one line per token, for spreadsheets."""

import csv
import io
from collections.abc import Iterator

from saliency_cli.exports.interface import Export
from saliency_cli.exports.token_lines import COLUMNS, lines_of
from saliency_cli.runs.finished_run import FinishedRun

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings of a cell that a spreadsheet may run as a formula (OWASP, "CSV Injection")."""


def csv_table(run: FinishedRun) -> Iterator[bytes]:
    """Yield the table as CSV (RFC 4180), the lines of one record at a time."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for record in run.records():
        for line in lines_of(record):
            writer.writerow([_cell(line.get(name)) for name in COLUMNS])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


def _cell(value: object) -> object:
    """Return what is written for a value; a text that looks like a formula gets a leading `'`.

    A number is written as it is: it may begin with a minus, and no input text can be in it.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value


EXPORT = Export("csv", "one line per token, for spreadsheets", csv_table)
