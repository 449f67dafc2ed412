"""The command line: parse, call, exit code. torch and transformers are imported only to run."""

import json
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from saliency_cli import __version__
from saliency_cli.console import Console, show_error
from saliency_cli.errors import Interrupted, SaliencyError, UsageError
from saliency_cli.settings import (
    Columns,
    Compute,
    DtypeName,
    FormatName,
    Maths,
    MethodName,
    ModelChoice,
    OutputChoice,
    PresetName,
    ReductionName,
    Request,
    Sampling,
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

MODEL = "Model"
TEXTS = "Texts"
MATHS = "Maths"
COMPUTE = "Compute"
OUTPUT = "Output"


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
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A Hugging Face folder, or a .pt .pth .bin .ckpt file with a state dict.",
        ),
    ],
    texts: Annotated[
        str,
        typer.Argument(
            metavar="TEXTS",
            help="A .csv .tsv .jsonl .ndjson file, each also .gz, or - for standard input.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the run goes.", rich_help_panel=OUTPUT)
    ] = Path("saliency-report"),
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace the report that is in --out.", rich_help_panel=OUTPUT
        ),
    ] = False,
    html_rows: Annotated[
        int,
        typer.Option(
            min=0,
            help="Rows that the pages show, evenly sampled; the records hold all.",
            rich_help_panel=OUTPUT,
        ),
    ] = 5000,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the run's summary on stdout.", rich_help_panel=OUTPUT),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", help="Say nothing but errors.", rich_help_panel=OUTPUT),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback behind an error.", rich_help_panel=OUTPUT),
    ] = False,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="The tokenizer's folder, if it is not MODEL or the folder that MODEL lies in.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE_OR_DIR",
            help="The config.json of a state dict, if it is not beside it or the tokenizer.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    embedding_layer: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Dotted name of the layer whose output is perturbed, if not the token embedding.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tokens after which a text is cut, if fewer than the model takes.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    input_format: Annotated[
        FormatName | None,
        typer.Option(
            help="How TEXTS is written, if its suffix does not tell; - is jsonl.",
            rich_help_panel=TEXTS,
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option(metavar="NAME", help="Where the text is.", rich_help_panel=TEXTS)
    ] = "text",
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where the gold label is; without it, label where there is one.",
            rich_help_panel=TEXTS,
        ),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where the row's id is; without it, id where there is one.",
            rich_help_panel=TEXTS,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after that many rows.", rich_help_panel=TEXTS),
    ] = None,
    method: Annotated[
        MethodName, typer.Option(help="Attribution method.", rich_help_panel=MATHS)
    ] = "smoothgrad",
    reduction: Annotated[
        ReductionName | None,
        typer.Option(
            help="Gradient to one number a token: l2 (the default) its length, dot its product "
            "with the embedding, with a sign, sum the article's.",
            rich_help_panel=MATHS,
        ),
    ] = None,
    samples: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Noisy passes a text; auto (the default) goes on until the errors are small.",
            rich_help_panel=MATHS,
        ),
    ] = None,
    antithetic: Annotated[
        bool | None,
        typer.Option(
            "--antithetic/--no-antithetic",
            help="Draw noise in pairs ε and −ε (the default), or independently.",
            rich_help_panel=MATHS,
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=10,
            help="Standard deviation, as a share of the text's embedding range (default: 0.01).",
            rich_help_panel=MATHS,
        ),
    ] = None,
    preset: Annotated[
        PresetName | None,
        typer.Option(help="allennlp: the article's maths to the letter.", rich_help_panel=MATHS),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(min=0, max=2**63 - 1, help="Seed of the noise.", rich_help_panel=MATHS),
    ] = 0,
    device: Annotated[
        str,
        typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:0.", rich_help_panel=COMPUTE),
    ] = "auto",
    dtype: Annotated[
        DtypeName, typer.Option(help="What the model computes in.", rich_help_panel=COMPUTE)
    ] = "auto",
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tokens in a batch, if not what suits the device.",
            rich_help_panel=COMPUTE,
        ),
    ] = None,
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
                embeddings_block=preset is not None and embedding_layer is None,
            ),
            texts=TextsChoice(
                path=texts,
                format=input_format,
                columns=Columns(text=text_column, label=label_column, id=id_column),
                limit=limit,
            ),
            compute=Compute(
                device=device, dtype=dtype, batch_tokens=batch_tokens, max_length=max_length
            ),
            maths=maths,
            output=OutputChoice(folder=out, overwrite=overwrite, html_rows=html_rows),
            preset=preset,
        )
        from saliency_cli.run import run  # noqa: PLC0415 - brings torch, which --help does not need

        summary = run(request, Console(quiet=quiet))
    if as_json:
        typer.echo(json.dumps(asdict(summary), sort_keys=True))
    raise typer.Exit(summary.exit_code)
