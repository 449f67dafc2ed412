"""The records of a run as a data frame of pandas."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from saliency_cli.analysis.word_shares import row_stats
from saliency_cli.errors import UsageError
from saliency_cli.exports.token_lines import COLUMNS, lines_of
from saliency_cli.records import Record

if TYPE_CHECKING:
    import pandas as pd

Line: TypeAlias = dict[str, Any]
ROW_COLUMNS: dict[str, type] = {
    "ordinal": int,
    "id": str,
    "status": str,
    "text": str,
    "pair": str,
    "predicted": str,
    "probability": float,
    "value": float,
    "gold": str,
    "correct": bool,
    "target": str,
    "word": str,
    "share": float,
    "flip_rate": float,
    "special_share": float,
    "samples": int,
    "evaluations": int,
    "truncated": bool,
    "windows": int,
    "reason": str,
}
"""The columns of a table with a line for each row: those of its record, `correct` where the gold
label is known, and `word`, the leading word, with its `share`. Slices follow as `slice.NAME`."""
_DTYPES = {int: "Int64", float: "Float64", bool: "boolean", str: "string"}
"""Types of pandas that have a value for "none"."""


def data_frame(records: Iterable[Record], *, tokens: bool) -> "pd.DataFrame":
    """Return records as a data frame.

    Args:
        records: The records.
        tokens: Whether it has a line for each token, instead of one for each row.

    Raises:
        UsageError: pandas is not installed.
    """
    pandas = _import_pandas()
    columns = COLUMNS if tokens else ROW_COLUMNS
    lines = [line for record in records for line in (lines_of(record) if tokens else _row(record))]
    slices = dict.fromkeys(name for line in lines for name in line if name not in columns)
    types = {**columns, **dict.fromkeys(slices, str)}
    return pandas.DataFrame(
        {
            name: pandas.array([line.get(name) for line in lines], dtype=_DTYPES[kind])
            for name, kind in types.items()
        }
    )


def _row(record: Record) -> Iterator[Line]:
    """Yield the line of a record."""
    line = {name: record[name] for name in ROW_COLUMNS if name in record}
    if record["status"] == "ok":
        stats = row_stats(record)
        line |= {"correct": stats.correct, "word": stats.leading_word}
        if stats.leading_word is not None:
            line["share"] = stats.shares[stats.leading_word]
        line |= {f"slice.{name}": value for name, value in record.get("slices", {}).items()}
    yield line


def _import_pandas() -> Any:  # noqa: ANN401 - the module
    try:
        import pandas as pd  # noqa: PLC0415 - an optional dependency, slow to import
    except ImportError:
        raise UsageError(
            "to_pandas needs pandas, which is not installed", "pip install 'saliency-cli[pandas]'"
        ) from None
    return pd
