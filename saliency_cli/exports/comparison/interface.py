"""The interface of an export of a comparison."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Result: TypeAlias = Mapping[str, Any]
"""What `comparison.json` holds."""
Row: TypeAlias = Mapping[str, Any]
"""A line of `rows.jsonl`."""
ReadRows: TypeAlias = Callable[[], Iterable[Row]]
"""Reads the rows anew each time it is called."""
Encode: TypeAlias = Callable[[Result, ReadRows], Iterator[bytes]]
"""Yields the content of the file in pieces."""


@dataclass(frozen=True, slots=True)
class ComparisonExport:
    """One format in which a comparison can be written.

    Attributes:
        name: The value of `--format`, as of an `Export`.
        encode: Yields the content.
        encode_rows: The content with a part for each broken row; None for a format without that
            choice (`--junit-rows`).
    """

    name: str
    encode: Encode
    encode_rows: Encode | None = None
