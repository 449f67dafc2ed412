"""The file formats of input texts, by name.

Another format is one more file here that implements `interface.Format`, and one more entry in
`FORMATS`. The package does not import torch: the command line reads the names of the formats.
"""

from pathlib import Path

from saliency_cli.errors import UsageError
from saliency_cli.inputs.byte_source import STDIN
from saliency_cli.inputs.formats.delimited import delimited_format
from saliency_cli.inputs.formats.excel_file import ExcelFormat
from saliency_cli.inputs.formats.interface import Format
from saliency_cli.inputs.formats.json_lines import JSON_LINES
from saliency_cli.inputs.formats.parquet_file import ParquetFormat
from saliency_cli.safe_text import visible

FORMATS: dict[str, Format] = {
    "csv": delimited_format(".csv", ","),
    "tsv": delimited_format(".tsv", "\t"),
    "jsonl": JSON_LINES,
    "parquet": ParquetFormat(),
    "xlsx": ExcelFormat(),
}
STDIN_FORMAT = "jsonl"


def known_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all formats, in the order of the registry."""
    return tuple(suffix for each in FORMATS.values() for suffix in each.suffixes)


def choose_format(path: str, name: str | None) -> Format:
    """Return the format called `name`, or else the one that the path's suffix names.

    Args:
        path: The input's path, or "-" for standard input, which is JSON Lines by default.
        name: A key of `FORMATS`, or None.

    Raises:
        UsageError: No name was given, and the suffix is not that of a format.
    """
    if name is not None:
        return FORMATS[name]
    if path == STDIN:
        return FORMATS[STDIN_FORMAT]
    suffix = Path(path.removesuffix(".gz")).suffix.lower()
    for known in FORMATS.values():
        if suffix in known.suffixes:
            return known
    suffixes = " ".join(known_suffixes())
    raise UsageError(
        f"{visible(path)}: the suffix is not that of a known format",
        f"use one of the suffixes {suffixes}, those of text also with .gz, or add --input-format",
    )
