"""`saliency compare`: two finished runs side by side."""

from pathlib import Path
from typing import Annotated

import typer

from saliency_cli.cli.console import Console
from saliency_cli.cli.gates import exit_code
from saliency_cli.cli.options import command
from saliency_cli.comparison.folder import ComparisonFolder
from saliency_cli.comparison.numbers import COMPARISON_NAMES, ComparisonNumbers
from saliency_cli.comparison.options import ComparisonChoice
from saliency_cli.gates import Gate, GateResult, in_order, judge, parse_gates
from saliency_cli.runs.finished_run import FinishedRun, open_run
from saliency_cli.safe_text import escape_json, visible
from saliency_cli.settings import ConsoleChoice, Option
from saliency_cli.stdout import write_data


@command
def compare(
    before: Annotated[Path, Option("The folder of the first run.", flag="BEFORE", argument=True)],
    after: Annotated[Path, Option("The folder of the second run.", flag="AFTER", argument=True)],
    choice: ComparisonChoice,
    console: ConsoleChoice,
    fail_on: Annotated[
        list[str] | None,
        Option(
            "Exit with 1 if a number is too low or too high: 'broken>0'.",
            more="May be given several times: a number of `comparison.json`, `<` or `>`, and a "
            "number; `broken[lang=de]>0` is about a slice, `warn:` only warns. ([gates](gates.md))",
            metavar="EXPR",
            default="none",
        ),
    ] = None,
    as_json: Annotated[bool, Option("Print comparison.json on stdout.", flag="--json")] = False,
) -> None:
    """Compare two finished runs, BEFORE and AFTER, and write what changed."""
    gates = parse_gates(fail_on or (), names=COMPARISON_NAMES)
    shown = Console(quiet=console.quiet)
    folder = ComparisonFolder(choice.folder)
    folder.check(overwrite=choice.overwrite)
    runs = open_run(before), open_run(after)
    results = _compare(*runs, folder=folder, choice=choice, gates=gates, console=shown)
    if as_json:
        write_data([escape_json(folder.result_path.read_text("utf-8")).encode()])
    raise typer.Exit(exit_code(results, 0))


def _compare(
    before: FinishedRun,
    after: FinishedRun,
    *,
    folder: ComparisonFolder,
    choice: ComparisonChoice,
    gates: tuple[Gate, ...],
    console: Console,
) -> list[GateResult]:
    """Compare two runs, write all files and the closing lines, and return how the gates ended."""
    with console.loading():
        from saliency_cli.comparison.compare import compare_runs  # noqa: PLC0415 - imports torch
    from saliency_cli.report.comparison import write_comparison_page  # noqa: PLC0415 - Jinja

    rows = max(run.manifest["counts"]["rows"] for run in (before, after))
    with console.progress("comparing", rows=rows) as advance:
        compared = compare_runs(
            before,
            after,
            folder,
            column=choice.id_column,
            shown=choice.html_rows,
            advance=advance,
        )
    results = judge(gates, ComparisonNumbers(compared.result))
    result = {**compared.result, "gates": [each.as_json() for each in results]}
    with console.waiting("writing the page"):
        write_comparison_page(folder.page, result, compared)
        folder.write_result(result)
    console.lines(
        [
            *result["verdict"],
            *(f"gate {each.outcome}: {each.sentence}" for each in in_order(results)),
            f"page: {visible(str(folder.page))}",
        ]
    )
    return [*results]
