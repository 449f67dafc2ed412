"""Options of `saliency compare` that no other command has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from saliency_cli.settings import Effect, Option


@dataclass(frozen=True, slots=True)
class ComparisonChoice:
    """How rows are matched, where the comparison is written, and how many rows its page shows."""

    panel: ClassVar[str] = "Comparison"

    id_column: Annotated[
        str | None,
        Option(
            "What rows are matched by: `id`, `text`, or a column of both runs' --slice-column.",
            more="Ids and values of a column must be unique in both runs; texts that occur several "
            "times are matched in their order.",
            metavar="NAME",
            default="`id` where both runs have unique ones, else `text`",
        ),
    ] = None
    folder: Annotated[
        Path,
        Option(
            "Folder that the comparison is written to.",
            flag="--out",
            metavar="DIR",
            effect=Effect.NOTHING,
        ),
    ] = Path("saliency-comparison")
    overwrite: Annotated[
        bool,
        Option(
            "Replace the earlier comparison in --out.",
            more="Files that no comparison wrote are never touched.",
            default="refuse",
            effect=Effect.NOTHING,
            trusted_only=True,
        ),
    ] = False
    html_rows: Annotated[
        int,
        Option(
            "Changed rows on the page, broken ones first.",
            more="`rows.jsonl` has all rows.",
            metavar="N",
            minimum=0,
        ),
    ] = 500
