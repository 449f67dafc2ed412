"""Writes the page of a comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_cli.comparison.compare import Comparison
from saliency_cli.comparison.folder import MARK
from saliency_cli.comparison.suspect_changes import KINDS, check_cell
from saliency_cli.comparison.verdict import is_beyond_chance
from saliency_cli.gates import GateResult, in_order
from saliency_cli.report.comparison.change_view import change_view
from saliency_cli.report.comparison.entries import ENTRY_FIELDS, change_entry
from saliency_cli.report.page_files import write_sealed
from saliency_cli.report.palette import legend
from saliency_cli.report.templating import environment, inline_sources

STYLES = ("report.css", "comparison.css")
SCRIPTS = (
    "tokens.js",
    "change_terms.js",
    "query.js",
    "rows.js",
    "scale.js",
    "search.js",
    "keys.js",
)
SLICES_SHOWN = 12
"""Slices on the page: those that changed beyond chance, then those with most changed rows."""


@dataclass(frozen=True, slots=True)
class SliceRow:
    """One slice as the template shows it, and whether it changed beyond chance."""

    column: str
    value: str
    figures: Mapping[str, Any]
    beyond_chance: bool


def write_comparison_page(
    path: Path,
    result: Mapping[str, Any],
    compared: Comparison,
    *,
    rows_file: bool = True,
) -> None:
    """Write the page of a comparison.

    Args:
        path: the file; an earlier page is replaced.
        result: what `comparison.json` holds.
        compared: the comparison, which reads the changed rows to show.
        rows_file: whether `rows.jsonl` is beside the page.

    Raises:
        OutputError: the file cannot be written.
    """
    env, signed = environment(), compared.after.is_signed
    context: dict[str, Any] = {
        **inline_sources(env, styles=STYLES, scripts=SCRIPTS),
        "manifest": {"versions": result["after"]["versions"]},
        "mark": MARK,
        "result": result,
        "gates": in_order(map(GateResult.from_json, result["gates"])),
        "suspect_kinds": KINDS,
        "check_cell": check_cell,
        "slices": slice_rows(result["slices"]),
        "rows": (change_view(change, lines) for change, lines in compared.rows()),
        "rows_shown": len(compared.changed),
        "changed": result["changed"],
        "signed": signed,
        "rows_file": rows_file,
        "legend": legend(signed=signed),
        "change_entry": change_entry,
        "entry_fields": ENTRY_FIELDS,
    }
    write_sealed(path, env.get_template("comparison.html.j2").generate(context))


def slice_rows(slices: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[SliceRow]:
    """Return the slices to show, those that changed beyond chance first."""
    found = [
        SliceRow(column, value, figures, is_beyond_chance(figures))
        for column, values in slices.items()
        for value, figures in values.items()
        if figures["broken"] or figures["fixed"] or is_beyond_chance(figures)
    ]
    found.sort(key=lambda each: (each.figures["p_value"], -_changes(each), each.column, each.value))
    return found[:SLICES_SHOWN]


def _changes(each: SliceRow) -> int:
    changed: int = each.figures["broken"] + each.figures["fixed"]
    return changed
