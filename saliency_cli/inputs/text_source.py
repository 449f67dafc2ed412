"""An input file in any format -> rows, from any position on, in memory that does not grow with it.

Every row of the input is yielded once: as a `Row` or, with the reason, as a `BadRow`. Only an input
that cannot be read at all, or that lacks a chosen column, is an error.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path

from saliency_cli.errors import UsageError
from saliency_cli.inputs.arriving_stream import matches_copy
from saliency_cli.inputs.byte_source import Input, changed_error, is_regular_file, open_input
from saliency_cli.inputs.dialect import Dialect
from saliency_cli.inputs.file_identity import FileIdentity
from saliency_cli.inputs.formats import choose_format
from saliency_cli.inputs.formats.interface import RowReader, Wanted, no_rows_error
from saliency_cli.inputs.options import Columns, TextsChoice
from saliency_cli.inputs.row_builder import build_row
from saliency_cli.records import BadRow, Row, RowPosition
from saliency_cli.safe_text import listed, visible

LISTED_COLUMNS = 30
"""Maximum number of columns that an error message lists."""
_USUAL_NAMES = {"text": "text", "pair": None, "label": "label", "id": "id"}
"""The parts of a row, and the columns that they are read from where none is chosen."""


class Source:
    """The rows of an open input.

    A stream is read once: by `positions`, which spools it and after which `rows` reads the spool,
    or by `all_rows`.

    Attributes:
        found: What was found in the input and not asked for, in one line; None if nothing was.
        count: The number of rows up to the limit, known once `positions` is exhausted.
    """

    def __init__(
        self, data: Input, reader: RowReader, choice: TextsChoice, *, is_copy: bool
    ) -> None:
        columns = _found_columns(reader.columns, choice.columns, data.name)
        notes = [*reader.notes, *_renamed(choice.columns, columns)]
        self.found = f"{visible(data.name)} is read {', '.join(notes)}" if notes else None
        self._is_copy = is_copy
        self.count: int | None = None
        self._input = data
        self._reader = reader
        self._choice = replace(choice, columns=columns)
        # A stream with a limit is not read to its end, which may never come.
        self._may_be_endless = choice.limit is not None and not is_regular_file(choice.path)

    @property
    def name(self) -> str:
        """The file's name without its folder, "-" for standard input."""
        return self._input.name

    @property
    def dialect(self) -> Dialect:
        """The encoding and the delimiter that the rows are read in."""
        return self._reader.dialect

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
    """Open the input, and find its encoding, its delimiter and the chosen columns.

    Args:
        choice: The input's path, format, columns and limit.
        spooled: A file with the input's bytes, written by an earlier process; it is read instead.

    Raises:
        UsageError: The input does not exist, is not text, has no row or lacks a chosen column.
    """
    text_format = choose_format(choice.path, choice.format)
    asked = Dialect(choice.encoding, choice.delimiter)
    with open_input(choice.path, spooled=spooled) as data:
        reader = text_format.open(data, Wanted(asked, choice.columns.text, choice.limit))
        yield Source(data, reader, choice, is_copy=spooled is not None)


def _found_columns(columns: Sequence[str], chosen: Columns, name: str) -> Columns:
    """Return the chosen columns, and the usual ones where none is chosen, as the input has them.

    Raises:
        UsageError: A chosen column is not among those of the input, if they are known.
    """
    found = {part: getattr(chosen, part) for part in _USUAL_NAMES}
    for part, usual in _USUAL_NAMES.items():
        wanted = usual if found[part] is None else found[part]
        spelled = None if wanted is None else _as_spelled(wanted, columns)
        if spelled is None and columns and found[part] is not None:
            raise _missing_column(found[part], columns, name)
        found[part] = found[part] if spelled is None else spelled
    return Columns(**found, slices=_slice_columns(columns, chosen, name))


def _slice_columns(columns: Sequence[str], chosen: Columns, name: str) -> list[str]:
    """Return the columns of slices as the input has them, each once.

    Raises:
        UsageError: One is not among the columns of the input, if they are known.
    """
    found = []
    for wanted in chosen.slices or ():
        spelled = _as_spelled(wanted, columns)
        if spelled is None and columns:
            raise _missing_column(wanted, columns, name)
        found.append(spelled or wanted)
    return [*dict.fromkeys(found)]


def _missing_column(wanted: str, columns: Sequence[str], name: str) -> UsageError:
    return UsageError(
        f"{visible(name)} has no column '{visible(wanted)}'",
        "its columns are " + listed(columns, most=LISTED_COLUMNS),
    )


def _as_spelled(wanted: str, columns: Sequence[str]) -> str | None:
    """Return the column of a name, or the only one that differs from it in case and blanks."""
    if wanted in columns:
        return wanted
    similar = [each for each in columns if _folded(each) == _folded(wanted)]
    return similar[0] if len(similar) == 1 else None


def _folded(name: str) -> str:
    return name.strip().casefold()


def _renamed(chosen: Columns, found: Columns) -> Iterator[str]:
    """Yield a note for each column that has another name than the one looked for."""
    for part, usual in _USUAL_NAMES.items():
        wanted = usual if getattr(chosen, part) is None else getattr(chosen, part)
        name = getattr(found, part)
        if name != wanted and wanted is not None and name is not None:
            yield f"its column '{visible(name)}' as {visible(wanted)}"
