"""A comparison of two runs in other formats; one file and one entry a format, as for runs."""

from saliency_cli.exports.comparison import annotations, csv_rows, junit, summary
from saliency_cli.exports.comparison.interface import ComparisonExport

COMPARISON_EXPORTS: dict[str, ComparisonExport] = {
    export.name: export
    for export in (csv_rows.EXPORT, annotations.EXPORT, summary.EXPORT, junit.EXPORT)
}
"""The formats by the name that `--format` takes."""
