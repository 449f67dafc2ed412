"""The command line: parse, call, exit code. torch and transformers are imported only to run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from saliency_cli import __version__, signals
from saliency_cli.cli import commands, options
from saliency_cli.cli.choices import (
    MathsGiven,
    check_together,
    choose_device_name,
    choose_maths,
    parse_shard_selection,
)
from saliency_cli.cli.console import Console, show_failure
from saliency_cli.cli.error_boundary import Commands, boundary
from saliency_cli.cli.gates import GATE_FAILED, parse_gates
from saliency_cli.settings import (
    Columns,
    Compute,
    ExecutionChoice,
    ModelChoice,
    OutputChoice,
    PageChoice,
    Request,
    Sharding,
    TargetChoice,
    TextsChoice,
)
from saliency_cli.stdout import write_data

app = typer.Typer(
    name="saliency",
    cls=Commands,
    help="Why did my text classifier say that? SmoothGrad over whole files, as HTML pages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        typer.echo(f"saliency {__version__}")
        raise typer.Exit


@app.callback()
def saliency(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Why did my text classifier say that? SmoothGrad over whole files, as HTML pages."""


@app.command()
def explain(
    model: options.ModelPath,
    texts: options.TextsPath,
    out: options.Out = Path("saliency-report"),
    overwrite: options.Overwrite = False,
    resume: options.Resume = False,
    shard: options.Shard = None,
    shard_rows: options.ShardRows = 2000,
    html_rows: options.HtmlRows = 5000,
    fail_on: options.FailOn = None,
    title: options.Title = None,
    single_file: options.SingleFile = False,
    template_dir: options.TemplateDir = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
    tokenizer: options.Tokenizer = None,
    config: options.Config = None,
    arch: options.Arch = None,
    labels: options.Labels = None,
    base_model: options.BaseModel = None,
    unsafe_pickle: options.UnsafePickle = False,
    embedding_layer: options.EmbeddingLayer = None,
    max_length: options.MaxLength = None,
    stride: options.Stride = None,
    multi_label: options.MultiLabel = False,
    input_format: options.InputFormat = None,
    text_column: options.TextColumn = "text",
    pair_column: options.PairColumn = None,
    label_column: options.LabelColumn = None,
    id_column: options.IdColumn = None,
    limit: options.Limit = None,
    method: options.Method = "smoothgrad",
    reduction: options.Reduction = None,
    target: options.Target = "predicted",
    contrast: options.Contrast = None,
    threshold: options.Threshold = 0.5,
    samples: options.Samples = None,
    tolerance: options.Tolerance = None,
    antithetic: options.Antithetic = None,
    noise: options.Noise = None,
    preset: options.Preset = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    attention: options.Attention = "auto",
    batch_tokens: options.BatchTokens = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    workers: options.Workers = None,
    gpus_per_worker: options.GpusPerWorker = None,
    cpus_per_worker: options.CpusPerWorker = None,
) -> None:
    """Explain every text of TEXTS, and write records and HTML pages."""
    with boundary(debug=debug):
        gates = parse_gates(fail_on or ())
        maths = choose_maths(
            MathsGiven(reduction, samples, antithetic, noise, tolerance),
            method=method,
            preset=preset,
            seed=seed,
            target=TargetChoice(name=target, contrast=contrast, threshold=threshold),
        )
        workforce = ExecutionChoice(engine, address, workers, gpus_per_worker, cpus_per_worker)
        request = Request(
            model=ModelChoice(
                checkpoint=model,
                tokenizer=tokenizer,
                config=config,
                arch=arch,
                labels=labels,
                base_model=base_model,
                unsafe_pickle=unsafe_pickle,
                embedding_layer=embedding_layer,
                multi_label=multi_label,
                embeddings_block=preset is not None and embedding_layer is None,
            ),
            texts=TextsChoice(
                path=texts,
                format=input_format,
                columns=Columns(
                    text=text_column, pair=pair_column, label=label_column, id=id_column
                ),
                limit=limit,
            ),
            compute=Compute(
                device=choose_device_name(device, workforce),
                dtype=dtype,
                attention=attention,
                batch_tokens=batch_tokens,
                max_length=max_length,
                stride=stride,
            ),
            maths=maths,
            output=OutputChoice(
                folder=out,
                overwrite=overwrite,
                resume=resume,
                pages=PageChoice(
                    title=title,
                    html_rows=html_rows,
                    single_file=single_file,
                    template_dir=template_dir,
                ),
            ),
            preset=preset,
            division=Sharding(shard_rows=shard_rows, share=parse_shard_selection(shard)),
            engine=workforce,
        )
        check_together(request, gated=bool(gates))
        from saliency_cli.cli.pipeline import run  # noqa: PLC0415 - brings torch, which --help does not need

        signals.unwind()
        summary = run(request, Console(quiet=quiet))
        if as_json:
            write_data([json.dumps(asdict(summary), sort_keys=True).encode() + b"\n"])
    failures = [*filter(None, (gate.failure(summary) for gate in gates))]
    for failure in failures:
        show_failure(failure)
    raise typer.Exit(GATE_FAILED if failures else summary.exit_code)


@app.command("inspect")
def inspect_model(
    model: options.ModelPath,
    as_json: options.InspectionAsJson = False,
    debug: options.Debug = False,
    tokenizer: options.Tokenizer = None,
    config: options.Config = None,
    arch: options.Arch = None,
    labels: options.Labels = None,
    base_model: options.BaseModel = None,
    unsafe_pickle: options.UnsafePickle = False,
    embedding_layer: options.EmbeddingLayer = None,
    max_length: options.MaxLength = None,
    multi_label: options.MultiLabel = False,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
) -> None:
    """Say what MODEL is and whether it can be explained, or why not."""
    with boundary(debug=debug):
        choice = ModelChoice(
            checkpoint=model,
            tokenizer=tokenizer,
            config=config,
            arch=arch,
            labels=labels,
            base_model=base_model,
            unsafe_pickle=unsafe_pickle,
            embedding_layer=embedding_layer,
            multi_label=multi_label,
        )
        compute = Compute(device=device, dtype=dtype, max_length=max_length)
        from saliency_cli.cli.inspection import inspect_checkpoint  # noqa: PLC0415 - brings torch

        signals.unwind()
        inspection, error = inspect_checkpoint(choice, compute)
        shown = inspection.as_json() if as_json else "\n".join(inspection.lines())
        write_data([shown.encode() + b"\n"])
        if error is not None:
            raise error


app.command()(commands.report)
app.command()(commands.export)
app.command()(commands.show)
