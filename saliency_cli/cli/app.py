"""The commands: what each takes, what it calls, and its exit code.

torch and transformers are imported inside the commands, so that `--help` does not wait for them.
"""

import json
from dataclasses import asdict, replace
from typing import Annotated

import typer

from saliency_cli import __version__
from saliency_cli.attribution.maths import MathsChoice
from saliency_cli.cli import commands
from saliency_cli.cli.choices import (
    check_combination,
    choose_device_name,
    choose_maths,
    with_preset_layer,
)
from saliency_cli.cli.comparison import compare
from saliency_cli.cli.config_file import add_command
from saliency_cli.cli.console import Console
from saliency_cli.cli.error_boundary import Commands
from saliency_cli.cli.options import Given, MethodParameters, command
from saliency_cli.cli.site import site
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.runs.request import Request
from saliency_cli.settings import (
    Compute,
    ConsoleChoice,
    ExecutionChoice,
    GateChoice,
    ModelChoice,
    Option,
    OutputChoice,
    Sharding,
    SuspectChoice,
    TargetChoice,
)
from saliency_cli.stdout import write_data

app = typer.Typer(
    name="saliency",
    cls=Commands,
    help="Why did my text classifier decide that? Attribution over whole files, as HTML pages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer's signature
    if wanted:
        typer.echo(f"saliency {__version__}")
        raise typer.Exit


@app.callback()
def saliency(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Why did my text classifier decide that? Attribution over whole files, as HTML pages."""


@command
def explain(
    model: ModelChoice,
    texts: TextsChoice,
    output: OutputChoice,
    sharding: Sharding,
    console: ConsoleChoice,
    compute: Compute,
    method: MathsChoice,
    target: TargetChoice,
    suspects: SuspectChoice,
    parameters: Given[MethodParameters],
    execution: ExecutionChoice,
    gating: GateChoice,
    as_json: Annotated[
        bool, Option("Print the run's summary as one JSON object on stdout.", flag="--json")
    ] = False,
) -> None:
    """Explain every text of TEXTS, and write records and HTML pages."""
    from saliency_cli.cli.gates import choose_gates, exit_code  # noqa: PLC0415

    gates = choose_gates(gating, folder=output.folder)
    request = Request(
        model=with_preset_layer(model, method.preset),
        texts=texts,
        compute=replace(compute, device=choose_device_name(compute.device, execution)),
        maths=choose_maths(method, target, parameters.values),
        output=output,
        preset=method.preset,
        sharding=sharding,
        execution=execution,
        suspects=suspects,
    )
    check_combination(request, gated=bool(gates.gates))
    shown = Console(quiet=console.quiet)
    with shown.loading():
        from saliency_cli.cli.pipeline import run  # noqa: PLC0415 - imports torch

    summary, results = run(request, shown, gates=gates)
    if as_json:
        write_data([json.dumps(asdict(summary), sort_keys=True).encode() + b"\n"])
    raise typer.Exit(exit_code(results, summary.exit_code))


add_command(app, explain)
add_command(app, commands.inspect_model, "inspect")
add_command(app, commands.report)
add_command(app, commands.export)
add_command(app, commands.show)
add_command(app, commands.evaluate)
add_command(app, compare)
add_command(app, site)
