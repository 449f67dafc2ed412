"""The encoding and the delimiter of an input: found in its first lines, or as they were given."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from saliency_cli.errors import UsageError
from saliency_cli.inputs.line_splitter import LINE_LIMIT, LineGroup
from saliency_cli.safe_text import excerpt

UTF8, WINDOWS_1252 = "utf-8", "cp1252"
NAMED_DELIMITERS = {"tab": "\t", r"\t": "\t"}
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What separates the fields of the files that people have, with what a note calls it."""
_SEPARATOR_LINE = re.compile(r'"?sep=([^"])"?', re.IGNORECASE)
_ASCII = bytes(range(128))


class Dialect(NamedTuple):
    """How bytes become rows.

    Attributes:
        encoding: Python's name of the encoding; None where the format has its own, or none was
            given.
        delimiter: The character between two fields; None likewise.
    """

    encoding: str | None = None
    delimiter: str | None = None


def parse_encoding(name: str) -> str:
    """Return Python's name of an encoding.

    Raises:
        UsageError: There is none of that name, or lines cannot be found in it: the bytes of ASCII
            have another meaning there, as in UTF-16.
    """
    try:
        found = codecs.lookup(name).name.removesuffix("-sig")
        if _ASCII.decode(found) == _ASCII.decode("ascii"):
            return found
    except (LookupError, ValueError):
        pass
    raise UsageError(
        f"--encoding {excerpt(name)}: not an encoding that extends ASCII",
        "--encoding cp1252 for Windows, or save the file as UTF-8",
    )


def parse_delimiter(text: str) -> str:
    r"""Return the character that separates fields; `tab` and `\t` stand for a tab.

    Raises:
        UsageError: It is not one character, or one that has another meaning in CSV.
    """
    delimiter = NAMED_DELIMITERS.get(text, text)
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise UsageError(
            f"--delimiter {excerpt(text)}: not one character", "--delimiter ';', or --delimiter tab"
        )
    return delimiter


def find_encoding(lines: Sequence[LineGroup]) -> str:
    """Return Windows-1252 if the lines can be that, and none that is not ASCII is UTF-8.

    One line of UTF-8 is enough to call the others damaged: that text in another encoding is UTF-8
    by chance is rare, since every letter outside ASCII would need the right letters beside it.

    Args:
        lines: The first lines of the input.
    """
    if lines and lines[0].size > len(lines[0].data) and lines[0].problem is None:
        return UTF8  # a byte order mark was removed
    beyond_ascii = [line.data for line in lines if not line.data.isascii()]
    if any(_decodes(data, UTF8) for data in beyond_ascii):
        return UTF8
    all_windows = all(_decodes(data, WINDOWS_1252) for data in beyond_ascii)
    return WINDOWS_1252 if beyond_ascii and all_windows else UTF8


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def separator_line(line: LineGroup) -> str | None:
    """Return the delimiter that Excel's line `sep=;` names, or None if the line is another one."""
    found = _SEPARATOR_LINE.fullmatch(line.text.rstrip("\r\n"))
    return None if found is None else str(found[1])


def find_delimiter(header: LineGroup, *, usual: str, column: str) -> str:
    """Return the delimiter by which the header has a column, the usual one before all others.

    If it has the column by none, the delimiter is the one that gives the most cells.

    Args:
        header: The first line.
        usual: The delimiter of the format.
        column: The name of the column that is looked for; upper and lower case do not matter.
    """
    cells = {each: _cells(header.text, each) for each in (usual, *DELIMITERS)}
    having = [each for each in cells if column.strip().casefold() in cells[each]]
    most = max(cells, key=lambda each: len(cells[each]))
    return having[0] if having else most


def _cells(text: str, delimiter: str) -> list[str]:
    csv.field_size_limit(max(LINE_LIMIT, csv.field_size_limit()))
    rows = csv.reader([text.rstrip("\r\n")], delimiter=delimiter)
    return [cell.strip().casefold() for row in rows for cell in row]


def as_utf8(lines: Iterable[LineGroup], encoding: str) -> Iterator[LineGroup]:
    """Return the lines with their bytes in UTF-8; offsets and sizes stay those of the input.

    A byte that the encoding does not have becomes a lone surrogate, which is no UTF-8.

    Args:
        lines: The lines of the input.
        encoding: Their encoding.
    """
    if encoding == UTF8:
        return iter(lines)
    return (line._replace(data=_recoded(line.data, encoding)) for line in lines)


def _recoded(data: bytes, encoding: str) -> bytes:
    return data.decode(encoding, "surrogateescape").encode("utf-8", "surrogatepass")


def decoding_problem(data: bytes, encoding: str) -> str | None:
    """Return why the bytes of a row cannot be read, or None if they can.

    Args:
        data: The bytes, as `as_utf8` returns them.
        encoding: The encoding of the input.
    """
    if data.isascii():
        return None
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if encoding != UTF8:
            return f"not {encoding}: it has a byte without a character; try another --encoding"
        return (
            f"not UTF-8 at byte {error.start + 1} of the row; "
            "a file from Windows needs --encoding cp1252"
        )
    return None
