"""Texts per second of this tool, of the article's loop, Captum and a plain script.

The contenders run in alternation in one process, so that other work on the machine slows all of
them. The ratio within each round is what matters. See README.md beside this file.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import torch
from contenders import NOISE, ArticleLoop, BatchShape, CaptumTunnel, Tool
from plain_script import PlainScript
from reporting import SAMPLE, add_clock_option, add_json_option, aligned, clock, emit
from results import HEADER, Result, results_of, speedup_lines, speedups_at_same_error
from timing import Entry, Workload, fastest_shape

from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.parameters import SampleCount
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.attribution.model_checks import with_layer
from saliency_cli.errors import SaliencyError
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.devices import TORCH_THREADS
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Row
from saliency_cli.runs.request import Request
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, DtypeName, ModelChoice, OutputChoice

ARTICLE = Maths(reduction="sum", propagation="standard", objective="loss")
"""What the article's loop computes."""


def main() -> None:
    """Run the benchmark; an error of the tool is printed in one line."""
    options = parse()
    try:
        benchmark(options)
    except SaliencyError as error:
        raise SystemExit(str(error)) from None


def benchmark(options: argparse.Namespace) -> None:
    """Load the model, find Captum's best batch, time the contenders, and print the results."""
    method = SmoothGrad(samples=options.samples, antithetic=False, noise=NOISE)
    engine = load(options, Maths(method, "l2", "standard"))
    workload, lengths = read_texts(options, engine)
    shape = fastest_shape(
        lambda shape: CaptumTunnel(engine.classifier, options.samples, shape),
        workload,
        samples=options.samples,
        texts=options.calibration_texts,
    )
    entries = entries_of(options, engine, shape=shape)
    runs = workload.time_rounds(entries, rounds=options.rounds)
    errors: list[float | None] = [None] * len(entries)
    if options.error_texts > 0:
        errors = [*workload.errors(entries, runs, texts=options.error_texts)]
    results = results_of(entries, runs, errors=errors)
    setting = describe(options, engine, lengths=lengths, shape=shape)
    speedups = speedups_at_same_error(results)
    figures = {**setting, "contenders": [result.figures() for result in results], "gains": speedups}
    emit(report(setting, results, shape=shape, speedups=speedups), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", type=Path, default=SAMPLE / "texts.jsonl", metavar="PATH")
    add_number = partial(parser.add_argument, type=positive, metavar="N")
    add_number("--limit", help="take the first N texts")
    add_number("--samples", default=10, help="noisy passes per text (%(default)s)")
    add_number("--rounds", default=5, help="%(default)s")
    add_number("--reference", default=4096, help="passes of the reference run, even (%(default)s)")
    add_number(
        "--error-texts",
        type=int,
        default=8,
        help="texts compared with the reference, 0 for none (%(default)s)",
    )
    add_number(
        "--calibration-texts",
        default=64,
        help="about how many texts to find Captum's best batch with (%(default)s)",
    )
    add_number("--batch-tokens", help="as of saliency explain (the tool's rule)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    add_clock_option(parser)
    add_json_option(parser)
    return parser.parse_args()


def positive(text: str) -> int:
    """Return the number that an option was given, which must be at least 1.

    Raises:
        ValueError: it is smaller, or no number.
    """
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def load(
    options: argparse.Namespace,
    maths: Maths,
    *,
    at_block: bool = False,
    dtype: DtypeName = "float32",
) -> Engine:
    """Return an engine with a new copy of the model.

    Args:
        options: The options of the command line.
        maths: What the engine computes.
        at_block: Whether noise is added at the embeddings block, not at the token embeddings.
        dtype: The number format, as of `--dtype`.
    """
    request = Request(
        model=ModelChoice(options.model, embeddings_block=at_block),
        texts=TextsChoice(str(options.texts)),
        compute=Compute(device=options.device, dtype=dtype, batch_tokens=options.batch_tokens),
        maths=maths,
        output=OutputChoice(Path()),
    )
    engine = build_engine(request)
    torch.set_num_threads(TORCH_THREADS)  # the other contenders have no batches side by side
    return engine


def read_texts(options: argparse.Namespace, engine: Engine) -> tuple[Workload, list[int]]:
    """Read the texts.

    Args:
        options: The options of the command line.
        engine: Its tokenizer counts the tokens.

    Returns:
        The texts, sorted by their number of tokens, and these numbers.
    """
    with open_texts(TextsChoice(str(options.texts), limit=options.limit)) as source:
        rows = [row for row in source.all_rows() if isinstance(row, Row)]
    classifier = engine.classifier
    texts = [row.text for row in rows]
    lengths = list(map(len, encode(classifier.tokenizer, texts, max_length=classifier.max_length)))
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    workload = Workload([rows[index] for index in order], classifier.device, clock(options))
    return workload, sorted(lengths)


def entries_of(options: argparse.Namespace, engine: Engine, *, shape: BatchShape) -> list[Entry]:
    """Return the contenders, this tool first.

    Args:
        options: The options of the command line.
        engine: The engine of this tool.
        shape: Captum's best batch shape.
    """
    long_run = SmoothGrad(samples=options.reference, noise=NOISE)
    reference = Tool(with_method(engine, long_run))
    article = load(options, ARTICLE, at_block=True).classifier
    block = replace(engine, classifier=with_layer(engine.classifier, article.embedding_name))
    default_dtype = load(options, engine.maths, dtype="auto")
    article_reference = Tool(replace(block, maths=replace(ARTICLE, method=long_run)))
    return [
        Entry("saliency", Tool(engine), reference),
        Entry("article's loop", ArticleLoop(article, options.samples), article_reference),
        Entry("captum", CaptumTunnel(engine.classifier, options.samples, shape), reference),
        *plain_scripts(engine, default_dtype, reference=reference, samples=options.samples),
        *other_samplings(engine, reference),
        *(
            other_samplings(default_dtype, reference)
            if default_dtype.classifier.dtype != torch.float32
            else ()
        ),
    ]


def plain_scripts(
    engine: Engine, default_dtype: Engine, *, reference: Tool, samples: int
) -> Iterator[Entry]:
    """Yield the plain script in float32 and in the number format of `--dtype auto`.

    Args:
        engine: The engine in float32.
        default_dtype: The engine in the other number format, or in float32, too.
        reference: The engine of the reference run.
        samples: Noisy passes per text.
    """
    yield Entry("plain script", PlainScript(engine.classifier, samples), reference)
    if default_dtype.classifier.dtype != torch.float32:
        script = PlainScript(default_dtype.classifier, samples)
        yield Entry("plain script, bfloat16", script, reference)
        yield Entry(f"saliency, bfloat16, {samples} samples", Tool(default_dtype), reference)


def other_samplings(engine: Engine, reference: Tool) -> Iterator[Entry]:
    """Yield this tool with `--samples auto`, 2 and 4.

    Args:
        engine: The engine, with its number format.
        reference: The engine of the reference run.
    """
    dtype = str(engine.classifier.dtype).removeprefix("torch.")
    name = "saliency" if dtype == "float32" else f"saliency, {dtype},"
    counts: tuple[SampleCount, ...] = ("auto", 2, 4)
    for samples in counts:
        tool = Tool(with_method(engine, SmoothGrad(samples=samples, noise=NOISE)))
        yield Entry(f"{name} --samples {samples}", tool, reference)


def with_method(engine: Engine, method: SmoothGrad) -> Engine:
    """Return the engine with another number of passes.

    Args:
        engine: The engine; it is not changed.
        method: The number of passes and the noise.
    """
    return replace(engine, maths=replace(engine.maths, method=method))


def describe(
    options: argparse.Namespace, engine: Engine, *, lengths: Sequence[int], shape: BatchShape
) -> dict[str, object]:
    """Return the conditions of the measurement, without paths of this machine.

    Args:
        options: The options of the command line.
        engine: The engine of this tool.
        lengths: The number of tokens of each text.
        shape: Captum's best batch shape.
    """
    return {
        "batch_tokens": engine.budget.tokens,
        "cpu_time": options.cpu_time,
        "captum_shape": {"samples": shape.samples, "texts": shape.texts},
        "device": engine.classifier.device.type,
        "dtype": "float32",
        "error_texts": min(max(options.error_texts, 0), len(lengths)),
        "input": options.texts.name,
        "mean_tokens": fmean(lengths),
        "model": options.model.resolve().name,
        "reference": options.reference,
        "rounds": options.rounds,
        "samples": options.samples,
        "texts": len(lengths),
        "threads": TORCH_THREADS,
        "versions": {name: version(name) for name in ("captum", "torch", "transformers")},
    }


def report(
    setting: dict[str, object],
    results: Sequence[Result],
    *,
    shape: BatchShape,
    speedups: dict[str, dict[str, float]],
) -> str:
    """Return the report: the conditions, the table and the speed-ups.

    Args:
        setting: As `describe` returns it.
        results: The result of each contender.
        shape: Captum's best batch shape.
        speedups: As `speedups_at_same_error` returns them.
    """
    head = (
        f"{setting['model']}, {setting['texts']} texts of {setting['mean_tokens']:.1f} tokens, "
        f"{setting['samples']} samples, float32, {setting['rounds']} rounds on {setting['device']} "
        f"({setting['threads']} threads), torch {version('torch')}\n"
        f"Captum's best batch: {shape}; saliency's: {setting['batch_tokens']} tokens; "
        f"errors of {setting['error_texts']} texts, against {setting['reference']} passes"
    )
    table = aligned(HEADER, [result.cells() for result in results])
    return "\n".join([head, "", table, *speedup_lines(speedups, error=results[0].error)])


if __name__ == "__main__":
    main()
