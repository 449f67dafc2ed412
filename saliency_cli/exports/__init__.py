"""The records of a finished run in other formats.

A new format is one file that declares an `Export`, and one line in the registry below. The option
`--format`, its help and the test of the table in docs/exports.md follow from the registry.
"""

from saliency_cli.exports import (
    csv_table,
    eraser,
    github_annotations,
    github_summary,
    instances,
    junit,
    parquet_table,
)
from saliency_cli.exports.interface import Export

# The modules import slow libraries inside functions: `saliency --help` imports this registry.
EXPORTS: dict[str, Export] = {
    export.name: export
    for export in (
        csv_table.EXPORT,
        parquet_table.EXPORT,
        instances.EXPORT,
        eraser.EXPORT,
        github_annotations.EXPORT,
        github_summary.EXPORT,
        junit.EXPORT,
    )
}
"""The formats by the name that `--format` takes, in the order of the help and the docs."""
