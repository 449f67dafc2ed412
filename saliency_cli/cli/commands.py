"""The commands beside `explain`; only `inspect` and `show` load a model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from saliency_cli.attribution.maths import MathsChoice
from saliency_cli.cli.choices import choose_device_name, choose_maths, given_text, with_preset_layer
from saliency_cli.cli.console import Console
from saliency_cli.cli.options import Given, MethodParameters, Only, command
from saliency_cli.evaluation.options import EvaluationChoice
from saliency_cli.evaluation.variants import parse_variants
from saliency_cli.exports import EXPORTS
from saliency_cli.gates import judge, parse_gates
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.runs.request import Question
from saliency_cli.safe_text import escape_json
from saliency_cli.settings import (
    Compute,
    ConsoleChoice,
    ExecutionChoice,
    GateChoice,
    ModelChoice,
    Option,
    OutputChoice,
    PageChoice,
    TargetChoice,
)
from saliency_cli.stdout import write_data

RunPath = Annotated[
    Path, Option("A folder that saliency explain wrote with --out.", flag="DIR", argument=True)
]


@command
def inspect_model(
    model: ModelChoice,
    compute: Annotated[Compute, Only("max_length", "device", "dtype")],
    console: Annotated[ConsoleChoice, Only("debug")],  # noqa: ARG001 - read by `command`
    as_json: Annotated[
        bool, Option("Print one JSON object instead of lines.", flag="--json")
    ] = False,
) -> None:
    """Print what MODEL is and whether it can be explained, or why not."""
    with Console(quiet=False).loading():
        from saliency_cli.cli.inspection import inspect_checkpoint  # noqa: PLC0415 - imports torch

    inspection, error = inspect_checkpoint(model, compute)
    shown = inspection.as_json() if as_json else "\n".join(inspection.lines())
    write_data([shown.encode() + b"\n"])
    if error is not None:
        raise error


@command
def report(
    folder: RunPath, pages: Given[PageChoice], console: ConsoleChoice, gating: GateChoice
) -> None:
    """Write the pages of DIR again, from its records and manifest alone."""
    from saliency_cli.analysis.findings import word_findings  # noqa: PLC0415
    from saliency_cli.analysis.suspect_checks import suspect_lines  # noqa: PLC0415
    from saliency_cli.cli.gates import choose_gates, exit_code, judge_again  # noqa: PLC0415
    from saliency_cli.gates import in_order, stored_results  # noqa: PLC0415
    from saliency_cli.report import check_templates, render  # noqa: PLC0415 - imports Jinja
    from saliency_cli.runs.finalize import finish_if_unfinished  # noqa: PLC0415
    from saliency_cli.runs.finished_run import open_run  # noqa: PLC0415
    from saliency_cli.runs.folder_lock import lock_pages  # noqa: PLC0415
    from saliency_cli.runs.ownership import INDEX, MANIFEST  # noqa: PLC0415
    from saliency_cli.runs.run_folder import RunFolder  # noqa: PLC0415

    shown = Console(quiet=console.quiet)
    given = {**pages.values}
    template_dir = given.pop("template_dir")
    gates = choose_gates(gating, folder=folder)
    check_templates(template_dir)  # before a run is finished, which cannot be undone
    finish_if_unfinished(RunFolder(folder))
    run = open_run(folder)
    choice = run.page_choice(given, template_dir=template_dir)
    run.folder.check_pages()
    with shown.waiting("reading the records"):
        run.check_records()
    if gates.gates:
        with lock_pages(run.folder.path / MANIFEST):
            judge_again(run, gates)
    with lock_pages(run.folder.path / MANIFEST):
        with shown.waiting("writing the pages"):
            run.folder.clear_pages()
            findings = render(run.folder, choice)
        results = stored_results(run.folder.read_manifest())
    suspects = suspect_lines(word_findings(findings).checks)
    shown.closing(
        run.summary, report=str(folder / INDEX), suspects=suspects, gates=in_order(results)
    )
    raise typer.Exit(exit_code(results, 0) if gates.gates else 0)


@command
def export(
    folder: RunPath,
    console: ConsoleChoice,
    format_name: Annotated[
        str,
        Option(
            "; ".join(f"{export.name}: {export.help}" for export in EXPORTS.values()) + ".",
            flag="--format",
            choices=tuple(EXPORTS),
        ),
    ],
    output: Annotated[
        Path | None,
        Option(
            "The file to write; a binary format needs one.",
            metavar="FILE",
            default="stdout",
            trusted_only=True,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        Option(
            "Replace the file of --output if it exists.",
            more="Files of DIR, of the model and the input are never replaced.",
            default="refuse",
            trusted_only=True,
        ),
    ] = False,
    junit_rows: Annotated[
        bool,
        Option(
            "With --format junit: a test case for each row, a failure if its prediction is wrong.",
            default="test cases are the gates",
        ),
    ] = False,
) -> None:
    """Write the records of DIR in another format, to stdout or a file."""
    from saliency_cli.comparison.folder import ComparisonFolder  # noqa: PLC0415
    from saliency_cli.exports.writer import (  # noqa: PLC0415
        omitted_rows,
        write_comparison_export,
        write_export,
    )
    from saliency_cli.runs.finished_run import open_run  # noqa: PLC0415

    compared = ComparisonFolder(folder)
    if compared.is_comparison:
        write_comparison_export(
            compared, format_name, output=output, overwrite=overwrite, rows=junit_rows
        )
        return
    run = open_run(folder)
    write_export(run, format_name, output=output, overwrite=overwrite, rows=junit_rows)
    screen = Console(quiet=console.quiet)
    omitted = omitted_rows(run, format_name)
    if omitted:
        screen.warn(f"--format {format_name} leaves out quarantined rows: {omitted}")
    for problem in EXPORTS[format_name].problems(run):
        screen.warn(f"--format {format_name}: {problem}")


@command
def show(
    model: ModelChoice,
    text: Annotated[
        str,
        Option(
            "The text that is explained; - reads it from standard input.",
            flag="TEXT",
            argument=True,
        ),
    ],
    console: ConsoleChoice,
    compute: Compute,
    method: MathsChoice,
    target: TargetChoice,
    parameters: Given[MethodParameters],
    pair: Annotated[
        str | None,
        Option("The second text of a pair, for models that read two.", flag="PAIR", argument=True),
    ] = None,
    as_json: Annotated[
        bool, Option("Print the record on stdout, as explain writes it.", flag="--json")
    ] = False,
    reduce: Annotated[
        bool,
        Option(
            "Find the fewest words of TEXT with which the predicted label stays.",
            more="([how](counterfactuals.md))",
        ),
    ] = False,
    flip: Annotated[
        bool,
        Option(
            "Find the fewest words to remove, and tokens to replace, until the label changes.",
            more="([how](counterfactuals.md))",
        ),
    ] = False,
    attention_page: Annotated[
        Path | None,
        Option(
            "Write a page with the attention weights of all heads beside the shaded text.",
            more="An earlier page of this kind is replaced, and no other file. "
            "([how to read it](attention.md))",
            metavar="FILE",
            default="none",
            trusted_only=True,
        ),
    ] = None,
) -> None:
    """Explain one text, or a pair, and shade it in the terminal."""
    if compute.dtype == "auto":  # one text does not make up for measuring the error of bfloat16
        compute = replace(compute, dtype="float32")
    question = Question(
        model=with_preset_layer(model, method.preset),
        compute=compute,
        maths=choose_maths(method, target, parameters.values),
        text=given_text(text),
        pair=pair,
        reduce=reduce,
        flip=flip,
    )
    console_shown = Console(quiet=console.quiet)
    with console_shown.loading():
        from saliency_cli.cli.pipeline import answer  # noqa: PLC0415 - imports torch
    from saliency_cli.cli.terminal import shaded  # noqa: PLC0415
    from saliency_cli.runs.record_lines import record_line  # noqa: PLC0415

    record = answer(question, console_shown, attention_page=attention_page)
    shown = escape_json(record_line(record)) if as_json else shaded(record)
    write_data([shown.encode()])


@command
def evaluate(
    model: ModelChoice,
    texts: Annotated[
        TextsChoice,
        Only("path", "format", "delimiter", "encoding", "text", "pair", "label", "id"),
    ],
    output: Annotated[OutputChoice, Only("folder", "overwrite", "resume")],
    choice: EvaluationChoice,
    console: ConsoleChoice,
    compute: Annotated[Compute, Only("max_length", "device", "dtype", "attention", "batch_tokens")],
    execution: ExecutionChoice,
    fail_on: Annotated[
        list[str] | None,
        Option(
            "Exit with 1 if a number is too low or too high: 'planted.smoothgrad<0.9'.",
            more="May be given several times: a metric and a method, `<` or `>`, and a number. A "
            "number that could not be measured fails its gate too.",
            metavar="EXPR",
            default="none",
        ),
    ] = None,
    as_json: Annotated[bool, Option("Print evaluation.json on stdout.", flag="--json")] = False,
) -> None:
    """Measure which attribution method to trust on MODEL, over a sample of TEXTS."""
    variants = parse_variants(choice.methods, seed=choice.seed)
    with Console(quiet=console.quiet).loading():
        from saliency_cli.cli.evaluation import EvaluationRequest, run_evaluation  # noqa: PLC0415
    from saliency_cli.cli.gates import (  # noqa: PLC0415
        EvaluationNumbers,
        evaluation_names,
        exit_code,
    )
    from saliency_cli.evaluation.metrics import choose_metrics  # noqa: PLC0415

    metrics = [metric.name for metric in choose_metrics(choice) if metric.name != "agreement"]
    names = evaluation_names(f"{metric}.{each.name}" for metric in metrics for each in variants)
    gates = parse_gates(fail_on or (), names=names)
    request = EvaluationRequest(
        model=model,
        texts=texts,
        compute=replace(compute, device=choose_device_name(compute.device, execution)),
        output=output,
        execution=execution,
        choice=choice,
        variants=variants,
    )
    result, code = run_evaluation(request, quiet=console.quiet)
    if as_json:
        shown = json.dumps(result, ensure_ascii=False, sort_keys=True)
        write_data([escape_json(shown).encode() + b"\n"])
    raise typer.Exit(exit_code(judge(gates, EvaluationNumbers(result)), code))
