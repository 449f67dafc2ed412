"""Rows per second by length of the texts and size of the model, and the share of peak speed.

The peak is the time that the matrix products of the run take alone; run and products are timed in
alternation. See README.md beside this file.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from contenders import NOISE
from matrix_products import count_products, operations, seconds_alone
from reporting import (
    SAMPLE,
    add_clock_option,
    add_json_option,
    aligned,
    clock,
    emit,
    print_progress,
)
from transformers import BertConfig, BertForSequenceClassification

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.model.devices import TORCH_THREADS
from saliency_cli.records import Row
from saliency_cli.runs.request import Request
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, ModelChoice, OutputChoice

LENGTHS = (16, 64, 256, 512)
BERTS = {"6 × 384": (6, 384), "12 × 768": (12, 768)}
"""Layers and width of models with random weights: the time does not depend on the weights."""
MIB = 2**20
HEADER = ("model", "tokens", "rows/s", "GFLOP/s", "share of peak", "min–max", "peak MiB")


@dataclass(frozen=True, slots=True)
class Cell:
    """The measurements of one model on texts of one length.

    Attributes:
        tokens: Tokens of a text.
        seconds: The seconds of each round.
        shares: For each round the time of the matrix products alone by the time of the run.
        operations: Multiplications and additions of the matrix products of one round.
        peak_mib: Largest resident memory in MiB; None if the system does not report it.
    """

    model: str
    tokens: int
    rows: int
    seconds: list[float]
    shares: list[float]
    operations: int
    peak_mib: float | None

    def cells(self) -> list[str]:
        """Return the cells of a line of the table."""
        return [
            self.model,
            str(self.tokens),
            f"{self.rows / median(self.seconds):.2f}",
            f"{self.operations / median(self.seconds) / 1e9:.0f}",
            f"{median(self.shares):.0%}",
            f"{min(self.shares):.0%}–{max(self.shares):.0%}",
            "–" if self.peak_mib is None else f"{self.peak_mib:.0f}",
        ]


def main() -> None:
    """Measure each model at each length."""
    options = parse()
    cells = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in models(options, Path(folder)):
            engine = load(options, path)
            lengths = [each for each in options.lengths if each <= engine.classifier.max_length]
            cells += [measure(options, engine, name=name, length=each) for each in lengths]
    setting = {
        "cpu_time": options.cpu_time,
        "dtype": options.dtype,
        "rounds": options.rounds,
        "samples": options.samples,
        "threads": TORCH_THREADS,
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    figures = {**setting, "cells": [asdict(cell) for cell in cells]}
    emit(aligned(HEADER, [cell.cells() for cell in cells]), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, metavar="PATH", help="measure this model only")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, metavar="N")
    parser.add_argument(
        "--tokens",
        type=int,
        default=1024,
        metavar="N",
        help="tokens of all texts of one length together (%(default)s)",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=10,
        metavar="N",
        help="independent noisy passes per text (%(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="R", help="%(default)s")
    parser.add_argument("--dtype", default="float32", help="as of explain (%(default)s)")
    parser.add_argument("--batch-tokens", type=int, metavar="N", help="as of explain (its rule)")
    parser.add_argument(
        "--streams", type=int, metavar="N", help="batches at the same time (the tool's rule)"
    )
    add_clock_option(parser)
    add_json_option(parser)
    return parser.parse_args()


def models(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of each model: the one of `--model`, or the sample and random ones.

    Args:
        options: The options of the command line.
        folder: Where random models are saved.
    """
    if options.model is not None:
        yield options.model.resolve().name, options.model
        return
    yield "sample, 2 × 128", SAMPLE / "model.pt"
    for name, (layers, width) in BERTS.items():
        path = folder / name
        save_bert(path, layers=layers, width=width)
        yield name, path


def save_bert(folder: Path, *, layers: int, width: int) -> None:
    """Save a BERT with random weights and the sample's tokenizer.

    Args:
        folder: Where it is saved.
        layers: The number of layers.
        width: The dimensions of a hidden state.
    """
    torch.manual_seed(0)
    tokenizer = json.loads((SAMPLE / "tokenizer_config.json").read_text(encoding="utf-8"))
    vocabulary = json.loads((SAMPLE / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=12,
        intermediate_size=4 * width,
        max_position_embeddings=max(LENGTHS),
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    shutil.copy(SAMPLE / "tokenizer.json", folder)
    tokenizer["model_max_length"] = max(LENGTHS)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def load(options: argparse.Namespace, path: Path) -> Engine:
    """Return an engine that explains with independent noisy passes.

    Args:
        options: The options of the command line.
        path: The model.
    """
    method = SmoothGrad(samples=options.samples, antithetic=False, noise=NOISE)
    request = Request(
        model=ModelChoice(path),
        texts=TextsChoice("-"),
        compute=Compute(device="cpu", dtype=options.dtype, batch_tokens=options.batch_tokens),
        maths=Maths(method, "l2", "standard"),
        output=OutputChoice(Path()),
    )
    engine = build_engine(request)
    return engine if options.streams is None else replace(engine, replicas=options.streams)


def measure(options: argparse.Namespace, engine: Engine, *, name: str, length: int) -> Cell:
    """Time the engine on texts of one length and its matrix products alone, in alternation.

    Args:
        options: The options of the command line.
        engine: The engine with the model.
        name: The model's name in the table.
        length: Tokens of a text.
    """
    print_progress(f"{name}, {length} tokens")
    engine = replace(engine, classifier=replace(engine.classifier, max_length=length))
    rows = rows_of(max(engine.replicas, options.tokens // length), length)
    products = count_products(rows, engine)
    now = clock(options)
    reset_peak()
    seconds, shares = [], []
    for _ in range(options.rounds):
        started = now()
        for _outcome in explain(rows, engine):
            pass
        seconds.append(now() - started)
        shares.append(seconds_alone(products, streams=engine.replicas, clock=now) / seconds[-1])
    return Cell(name, length, len(rows), seconds, shares, operations(products), peak_mib())


def rows_of(count: int, length: int) -> list[Row]:
    """Return different texts of the sample's words; the tokenizer truncates them to `length`.

    Args:
        count: The number of texts.
        length: Words of a text, which have at least so many tokens.
    """
    lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    words = [word for line in lines for word in json.loads(line)["text"].split()]
    starts = islice(range(0, len(words), max(1, (len(words) - length) // count)), count)
    texts = [" ".join(words[start : start + length]) for start in starts]
    return [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(texts)]


def reset_peak() -> None:
    """Reset the largest resident memory of this process, on Linux (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_mib() -> float | None:
    """Return the largest resident memory in MiB since the reset; None if it is not reported."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / MIB


if __name__ == "__main__":
    main()
