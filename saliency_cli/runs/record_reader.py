"""Reads single records of a finished run by their places."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from saliency_cli.records import Record
from saliency_cli.runs.finished_run import FinishedRun, Location


@dataclass(slots=True)
class RecordReader:
    """Reads records that were checked before; the file of the last one stays open.

    Attributes:
        run: The finished run.
    """

    run: FinishedRun
    _part: int = -1
    _stream: IO[bytes] | None = field(default=None, repr=False)

    def line(self, location: Location) -> str:
        """Return the line of a record."""
        if self._stream is None or location.part != self._part:
            self.close()
            self._part = location.part
            self._stream = self.run.folder.part(location.part).open("rb")
        if self._stream.tell() != location.offset:
            self._stream.seek(location.offset)
        return self._stream.readline().decode()

    def record(self, location: Location) -> Record:
        """Return a record."""
        record: Record = json.loads(self.line(location))
        return record

    def close(self) -> None:
        """Close the open file."""
        if self._stream is not None:
            self._stream.close()


@contextmanager
def open_reader(run: FinishedRun) -> Iterator[RecordReader]:
    """Open a reader of a run's records; its file is closed when the block ends.

    Args:
        run: The finished run; its records must have been checked (`FinishedRun.records`).
    """
    reader = RecordReader(run)
    try:
        yield reader
    finally:
        reader.close()
