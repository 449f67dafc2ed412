"""Texts per second of this tool, of the article's loop and of Captum, on the same texts.

The contenders take turns in one process, so that whatever slows the machine down slows all of them;
what counts is the ratio within each round. See README.md beside this file.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

import torch
from contenders import NOISE, ArticleLoop, CaptumTunnel, Shape, Tool
from racing import Course, Entry, fastest
from reporting import SAMPLE, add_clock_option, add_json_option, aligned, clock, emit
from results import HEADER, Result, conclude, to_the_same_error, told

from saliency_cli.attribution.engine import Engine
from saliency_cli.attribution.model_checks import at_layer
from saliency_cli.errors import SaliencyError
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Row
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import (
    Compute,
    DtypeName,
    Maths,
    ModelChoice,
    OutputChoice,
    Request,
    Sampling,
    TextsChoice,
)

ARTICLE = Maths(reduction="sum", objective="loss")


def main() -> None:
    """Load, calibrate, race, judge, print."""
    options = parse()
    try:
        benchmark(options)
    except SaliencyError as error:
        raise SystemExit(str(error)) from None


def benchmark(options: argparse.Namespace) -> None:
    """Do what the command line asks for."""
    sampling = Sampling(samples=options.samples, antithetic=False, noise=NOISE)
    engine = load(options, Maths(sampling=sampling))
    course, lengths = read(options, engine)
    shape = fastest(
        lambda shape: CaptumTunnel(engine.classifier, options.samples, shape),
        course,
        samples=options.samples,
        texts=options.calibration_texts,
    )
    entries = enter(options, engine, shape=shape)
    laps = course.race(entries, rounds=options.rounds)
    errors: list[float | None] = [None] * len(entries)
    if options.error_texts > 0:
        errors = [*course.errors(entries, laps, texts=options.error_texts)]
    results = conclude(entries, laps, errors=errors)
    setting = describe(options, engine, lengths=lengths, shape=shape)
    gains = to_the_same_error(results)
    figures = {**setting, "contenders": [result.figures() for result in results], "gains": gains}
    emit(report(setting, results, shape=shape, gains=gains), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", type=Path, default=SAMPLE / "texts.jsonl", metavar="PATH")
    parser.add_argument("--limit", type=positive, metavar="N", help="take the first N texts")
    parser.add_argument(
        "--samples",
        type=positive,
        default=10,
        metavar="N",
        help="noisy passes per text (%(default)s)",
    )
    parser.add_argument("--rounds", type=positive, default=5, metavar="R", help="%(default)s")
    parser.add_argument(
        "--reference",
        type=positive,
        default=4096,
        metavar="N",
        help="passes judged by, even (%(default)s)",
    )
    parser.add_argument(
        "--error-texts",
        type=int,
        default=8,
        metavar="N",
        help="texts judged, 0 for none (%(default)s)",
    )
    parser.add_argument(
        "--calibration-texts",
        type=positive,
        default=64,
        metavar="N",
        help="about so many (%(default)s)",
    )
    parser.add_argument(
        "--batch-tokens", type=positive, metavar="N", help="as of saliency explain (its own rule)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:0")
    add_clock_option(parser)
    add_json_option(parser)
    return parser.parse_args()


def positive(text: str) -> int:
    """Read a number that must be at least 1."""
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
    """Load the model anew, at its token embeddings or at the block around them."""
    request = Request(
        model=ModelChoice(options.model, embeddings_block=at_block),
        texts=TextsChoice(str(options.texts)),
        compute=Compute(device=options.device, dtype=dtype, batch_tokens=options.batch_tokens),
        maths=maths,
        output=OutputChoice(Path()),
    )
    return build_engine(request)


def read(options: argparse.Namespace, engine: Engine) -> tuple[Course, list[int]]:
    """Read the texts; return them sorted by their tokens, and how many those are."""
    with open_texts(TextsChoice(str(options.texts), limit=options.limit)) as source:
        rows = [row for row in source.all_rows() if isinstance(row, Row)]
    classifier = engine.classifier
    texts = [row.text for row in rows]
    lengths = list(map(len, encode(classifier.tokenizer, texts, max_length=classifier.max_length)))
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    course = Course([rows[index] for index in order], classifier.device, clock(options))
    return course, sorted(lengths)


def enter(options: argparse.Namespace, engine: Engine, *, shape: Shape) -> list[Entry]:
    """Line up the contenders, this tool first."""
    reference = Sampling(samples=options.reference, noise=NOISE)
    truth = Tool(with_sampling(engine, reference))
    article = load(options, ARTICLE, at_block=True).classifier
    block = replace(engine, classifier=at_layer(engine.classifier, article.embedding_name))
    by_rule = load(options, engine.maths, dtype="auto")
    article_truth = Tool(replace(block, maths=replace(ARTICLE, sampling=reference)))
    return [
        Entry("saliency", Tool(engine), truth),
        Entry("article's loop", ArticleLoop(article, options.samples), article_truth),
        Entry("captum", CaptumTunnel(engine.classifier, options.samples, shape), truth),
        *shorter(engine, truth),
        *(shorter(by_rule, truth) if by_rule.classifier.dtype != torch.float32 else ()),
    ]


def shorter(engine: Engine, truth: Tool) -> Iterator[Entry]:
    """Line up the tool as it is by default, and with few passes, in the engine's number format."""
    dtype = str(engine.classifier.dtype).removeprefix("torch.")
    name = "saliency" if dtype == "float32" else f"saliency, {dtype},"
    for samples in (None, 2, 4):
        sampling = Sampling(samples=samples, noise=NOISE)
        tool = Tool(with_sampling(engine, sampling))
        yield Entry(f"{name} --samples {samples or 'auto'}", tool, truth)


def with_sampling(engine: Engine, sampling: Sampling) -> Engine:
    """Return the engine with other noise."""
    return replace(engine, maths=replace(engine.maths, sampling=sampling))


def describe(
    options: argparse.Namespace, engine: Engine, *, lengths: Sequence[int], shape: Shape
) -> dict[str, object]:
    """Say under what conditions the figures were taken, in names that any machine knows."""
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
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("captum", "torch", "transformers")},
    }


def report(
    setting: dict[str, object],
    results: Sequence[Result],
    *,
    shape: Shape,
    gains: dict[str, dict[str, float]],
) -> str:
    """Lay out what a person reads."""
    head = (
        f"{setting['model']}, {setting['texts']} texts of {setting['mean_tokens']:.1f} tokens, "
        f"{setting['samples']} samples, float32, {setting['rounds']} rounds on {setting['device']} "
        f"({setting['threads']} threads), torch {version('torch')}\n"
        f"Captum's best batch: {shape}; saliency's: {setting['batch_tokens']} tokens; "
        f"errors over {setting['error_texts']} texts, against {setting['reference']} passes"
    )
    table = aligned(HEADER, [result.cells() for result in results])
    return "\n".join([head, "", table, *told(gains, error=results[0].error)])


if __name__ == "__main__":
    main()
