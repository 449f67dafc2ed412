"""The folder of a comparison: its files, and which of them may be replaced.

DIR/index.html         the page
DIR/comparison.json    the figures
DIR/rows.jsonl         one line a row of either run: what changed in it
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from saliency_cli.atomic_files import TEMPORARY_SUFFIX, open_atomic, output_errors
from saliency_cli.comparison.row_changes import RowChange
from saliency_cli.errors import UsageError
from saliency_cli.runs.output_folder import check_output_folder, entries_of
from saliency_cli.runs.plain_files import check_plain, special_kind
from saliency_cli.safe_text import visible

RESULT, ROWS, PAGE = "comparison.json", "rows.jsonl", "index.html"
MARK = '<meta name="description" content="What changed between two runs">'
"""What the page has near its start, and no other page."""
_STARTS = {RESULT: '{\n  "accuracy_after": ', ROWS: '{"after":', PAGE: "<!doctype html>"}
_HEAD_BYTES = 2**10


@dataclass(frozen=True, slots=True)
class ComparisonFolder:
    """The folder that a comparison is written to, or read from."""

    path: Path

    @property
    def is_comparison(self) -> bool:
        """Whether a comparison was written here."""
        return (self.path / RESULT).is_file()

    @property
    def result_path(self) -> Path:
        """Path of `comparison.json`."""
        return self.path / RESULT

    @property
    def rows_path(self) -> Path:
        """Path of `rows.jsonl`."""
        return self.path / ROWS

    @property
    def page(self) -> Path:
        """Path of the page."""
        return self.path / PAGE

    def check(self, *, overwrite: bool) -> None:
        """Check that a comparison may be written here; nothing is changed.

        Args:
            overwrite: Whether an earlier comparison may be replaced.

        Raises:
            UsageError: The folder holds something else, or a comparison that may not be replaced.
        """
        hint = "add --overwrite to replace it, or use another folder with --out"
        check_output_folder(
            self.path,
            entries_of(self.path),
            _is_ours,
            holds="a comparison",
            hint=None if overwrite else hint,
        )

    @contextmanager
    def writing_rows(self) -> Iterator["RowWriter"]:
        """Open `rows.jsonl` for writing; it takes its name when the block ends."""
        path = self.path / ROWS
        with open_atomic(path) as stream:
            yield RowWriter(stream, path)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write `comparison.json`.

        Raises:
            OutputError: It cannot be written.
        """
        path = self.result_path
        with open_atomic(path) as stream, output_errors(path):
            stream.write(result_text(result) + "\n")

    def read_result(self) -> dict[str, Any]:
        """Return what `comparison.json` holds.

        Raises:
            UsageError: It is damaged, or of another version.
        """
        path = self.result_path
        check_plain(path)
        try:
            result = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            result = None
        if type(result) is not dict or result.get("schema") != SCHEMA:
            raise UsageError(
                f"{visible(str(path))} is damaged, or of another version",
                "compare the runs again with --overwrite",
            )
        return result

    def read_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of `rows.jsonl`.

        Raises:
            UsageError: A line is damaged.
        """
        path = self.path / ROWS
        check_plain(path)
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    row = None
                if type(row) is not dict or "change" not in row:
                    raise UsageError(
                        f"{visible(str(path))}, line {number} is damaged",
                        "compare the runs again with --overwrite",
                    )
                yield row


SCHEMA = 1
"""Version of `comparison.json` and `rows.jsonl`."""


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes the lines of `rows.jsonl`."""

    stream: IO[str]
    path: Path

    def write(self, change: RowChange) -> None:
        """Write one row.

        Raises:
            OutputError: It cannot be written.
        """
        line = json.dumps(
            change.as_json(), ensure_ascii=False, sort_keys=True, separators=(",", ":")
        )
        with output_errors(self.path):
            self.stream.write(line + "\n")


def result_text(result: Mapping[str, Any]) -> str:
    """Return the figures of a comparison as JSON with sorted keys."""
    return json.dumps(result, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)


def _is_ours(entry: Path) -> bool:
    """Whether a comparison wrote a file: by its name and by how it begins."""
    start = _STARTS.get(entry.name.removesuffix(TEMPORARY_SUFFIX))
    if start is None or special_kind(entry) is not None or not entry.is_file():
        return False
    if entry.name.endswith(TEMPORARY_SUFFIX):
        return True
    with entry.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    return head.startswith(start.encode()) and (entry.name != PAGE or MARK.encode() in head)
