"""An input file in any format -> rows, from any position on, in memory that does not grow with it.

Every row of the input is yielded once: as a `Row` or, with the reason, as a `BadRow`. Only an input
that cannot be read at all, or that lacks a chosen column, is an error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from saliency_cli.errors import UsageError
from saliency_cli.inputs.arriving_stream import matches_copy
from saliency_cli.inputs.byte_source import Input, changed_error, is_regular_file, open_input
from saliency_cli.inputs.file_identity import FileIdentity
from saliency_cli.inputs.formats import choose_format
from saliency_cli.inputs.formats.delimited import other_separator
from saliency_cli.inputs.formats.interface import RowReader, no_rows_error
from saliency_cli.inputs.options import Columns, TextsChoice
from saliency_cli.inputs.row_builder import build_row
from saliency_cli.records import BadRow, Row, RowPosition
from saliency_cli.safe_text import listed, visible

LISTED_COLUMNS = 30
"""Maximum number of columns that an error message lists."""
_SEPARATOR_HINTS = {",": "add --input-format csv", "\t": "add --input-format tsv"}


class Source:
    """The rows of an open input.

    A stream is read once: by `positions`, which spools it and after which `rows` reads the spool,
    or by `all_rows`.

    Attributes:
        count: The number of rows up to the limit, known once `positions` is exhausted.
    """

    def __init__(
        self, data: Input, reader: RowReader, choice: TextsChoice, *, is_copy: bool
    ) -> None:
        self._is_copy = is_copy
        self.count: int | None = None
        self._input = data
        self._reader = reader
        self._choice = choice
        # A stream with a limit is not read to its end, which may never come.
        self._may_be_endless = choice.limit is not None and not is_regular_file(choice.path)

    @property
    def name(self) -> str:
        """The file's name without its folder, "-" for standard input."""
        return self._input.name

    @property
    def size(self) -> int | None:
        """Bytes on the disk, or None for a stream that is not spooled."""
        return self._input.size

    @property
    def identity(self) -> FileIdentity | None:
        """The file that `rows` reads, as it was opened or spooled; None for a stream."""
        return self._input.opened

    @property
    def seekable(self) -> bool:
        """Whether `rows` can read any position: the input is a regular file, or was spooled."""
        return self._input.seekable

    def sha256(self) -> str | None:
        """Return the SHA-256 of the whole input, or None for a stream that is read to a limit.

        Raises:
            UsageError: The input cannot be read to its end.
        """
        return None if self._may_be_endless else self._input.sha256()

    def matches_arriving(self) -> bool:
        """Return whether what arrives at the input's path again has the bytes of the kept copy.

        True if nothing arrives, and for an input that was not copied. A stream with a limit is
        compared as far as the copy reaches.

        Raises:
            UsageError: The stream cannot be read.
        """
        if not self._is_copy:
            return True
        return matches_copy(self._choice.path, self._input.cursor(), whole=not self._may_be_endless)

    def positions(self, every: int, *, spool: Path | None = None) -> Iterator[RowPosition]:
        """Yield the position of every `every`-th row up to the limit, then set `count`.

        Args:
            every: Rows from one position to the next.
            spool: A file to which a stream is written while it is read; `rows` then reads it.

        Raises:
            UsageError: There is no row, or the file was written while it was read.
            OutputError: The spool cannot be written.
        """
        count = yield from self._reader.positions(every, limit=self._choice.limit, spool=spool)
        if count == 0:
            raise no_rows_error(self.name)
        self.count = count
        self.sha256()  # this also spools what the reader left of a stream that ends
        self._input.sync()
        self.check_unchanged()

    def check_unchanged(self) -> None:
        """Check that the open file has not been written since it was opened.

        Raises:
            UsageError: It has: rows read before and after are of different contents.
        """
        self._input.check_unchanged()

    def check_content(self, sha256: str | None) -> None:
        """Check all bytes of the input against the hash of the plan.

        Args:
            sha256: What `sha256` returned when the rows were counted; None is not checked.

        Raises:
            UsageError: The input has changed, even if size and time of its file have not.
        """
        self.check_unchanged()
        if sha256 is not None and self._input.stored_sha256() != sha256:
            raise changed_error(self.name)

    def rows(self, position: RowPosition, count: int) -> Iterator[Row | BadRow]:
        """Yield `count` rows from a position on, fewer only at the end of the input.

        Args:
            position: A position that `positions` yielded.
            count: The number of rows.
        """
        rows = islice(self._reader.rows_from(position), count)
        for ordinal, row in enumerate(rows, position.ordinal):
            yield build_row(ordinal, row, self._choice.columns)

    def all_rows(self) -> Iterator[Row | BadRow]:
        """Yield all rows up to the limit; those of a stream are yielded while it arrives."""
        for ordinal, row in enumerate(islice(self._reader.all_rows(), self._choice.limit)):
            yield build_row(ordinal, row, self._choice.columns)


@contextmanager
def open_texts(choice: TextsChoice, *, spooled: Path | None = None) -> Iterator[Source]:
    """Open the input, and check that its first rows have the chosen columns.

    Args:
        choice: The input's path, format, columns and limit.
        spooled: A file with the input's bytes, written by an earlier process; it is read instead.

    Raises:
        UsageError: The input does not exist, is not text, has no row or lacks a chosen column.
    """
    text_format = choose_format(choice.path, choice.format)
    with open_input(choice.path, spooled=spooled) as data:
        reader = text_format.open(data)
        _check_columns(reader.columns, choice=choice.columns, name=data.name)
        yield Source(data, reader, choice, is_copy=spooled is not None)


def _check_columns(columns: Sequence[str], *, choice: Columns, name: str) -> None:
    """Raise UsageError if a chosen column is not among those of the input, if they are known."""
    if not columns:
        return
    for column in (choice.text, choice.pair, choice.label, choice.id):
        if column is None or column in columns:
            continue
        message = f"{visible(name)} has no column '{visible(column)}'"
        separator = other_separator(columns, wanted=column)
        if separator is None:
            raise UsageError(message, "its columns are " + listed(columns, most=LISTED_COLUMNS))
        raise UsageError(
            f"{message}: the header's cells are separated by '{visible(separator)}'",
            _SEPARATOR_HINTS.get(separator, "save it with commas, or with tabs as .tsv"),
        )
