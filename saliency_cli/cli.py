"""The command line: parse, call, exit code. torch and transformers are imported only to run."""

import json
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from saliency_cli import __version__, options
from saliency_cli.console import Console, show_error
from saliency_cli.errors import Interrupted, SaliencyError, UsageError
from saliency_cli.settings import (
    Columns,
    Compute,
    Maths,
    ModelChoice,
    OutputChoice,
    PageChoice,
    Request,
    Sampling,
    TargetChoice,
    TextsChoice,
    parse_samples,
    preset_maths,
)

app = typer.Typer(
    name="saliency",
    help="Why did my text classifier say that? SmoothGrad over whole files, as HTML pages.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; SIGINT and SIGTERM end it with a message, a second one at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    app()


def _interrupt(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted(number)


@contextmanager
def boundary(*, debug: bool) -> Iterator[None]:
    """Turn errors into a message and an exit code: the one place that does."""
    try:
        yield
    except (SaliencyError, Interrupted, OSError) as error:
        if debug:
            traceback.print_exc()
        known = error if not isinstance(error, OSError) else _unusable(error)
        show_error(str(known), getattr(known, "hint", None))
        raise typer.Exit(known.exit_code) from None


def _unusable(error: OSError) -> UsageError:
    """Say what the system says of a path that no room expected to fail: too long, forbidden."""
    path = "" if error.filename is None else f"{error.filename}: "
    return UsageError(f"{path}{error.strerror or error}")


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
    html_rows: options.HtmlRows = 5000,
    title: options.Title = None,
    single_file: options.SingleFile = False,
    template_dir: options.TemplateDir = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
    tokenizer: options.Tokenizer = None,
    config: options.Config = None,
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
    antithetic: options.Antithetic = None,
    noise: options.Noise = None,
    preset: options.Preset = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    batch_tokens: options.BatchTokens = None,
) -> None:
    """Explain every text of TEXTS, and write records and HTML pages."""
    with boundary(debug=debug):
        given = {
            "--reduction": reduction,
            "--samples": samples,
            "--antithetic": antithetic,
            "--noise": noise,
        }
        if preset is None:
            maths = Maths(
                method=method,
                reduction=reduction or "l2",
                sampling=Sampling(
                    samples=parse_samples(samples),
                    antithetic=antithetic is not False,
                    noise=0.01 if noise is None else noise,
                    seed=seed,
                ),
            )
        else:
            maths = preset_maths(preset, seed=seed, given=given)
        request = Request(
            model=ModelChoice(
                checkpoint=model,
                tokenizer=tokenizer,
                config=config,
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
                device=device,
                dtype=dtype,
                batch_tokens=batch_tokens,
                max_length=max_length,
                stride=stride,
            ),
            maths=replace(
                maths,
                target=TargetChoice(name=target, contrast=contrast, threshold=threshold),
            ),
            output=OutputChoice(
                folder=out,
                overwrite=overwrite,
                pages=PageChoice(
                    title=title,
                    html_rows=html_rows,
                    single_file=single_file,
                    template_dir=template_dir,
                ),
            ),
            preset=preset,
        )
        from saliency_cli.run import run  # noqa: PLC0415 - brings torch, which --help does not need

        summary = run(request, Console(quiet=quiet))
    if as_json:
        typer.echo(json.dumps(asdict(summary), sort_keys=True))
    raise typer.Exit(summary.exit_code)
