"""The lines of a file of records: written with their hash, and read unparsed."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from saliency_cli.atomic_files import output_errors
from saliency_cli.records import Record


@dataclass(slots=True)
class RecordWriter:
    """Writes records and computes the SHA-256 of what it wrote.

    Attributes:
        stream: The open file.
        path: Its path, for error messages.
        sha256: The hash of all lines written so far.
    """

    stream: IO[bytes]
    path: Path
    sha256: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def write(self, record: Record) -> None:
        """Append one record.

        Raises:
            OutputError: If it cannot be written.
        """
        line = record_line(record).encode()
        self.sha256.update(line)
        with output_errors(self.path):
            self.stream.write(line)


def read_lines(part: Path) -> Iterator[str]:
    """Yield the lines of a file of records; bytes that are not UTF-8 become surrogates."""
    with part.open(encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        yield from stream


def record_line(record: Record) -> str:
    """Return the line of a record: JSON with sorted keys and finite numbers only."""
    line = json.dumps(
        record, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    return line + "\n"
