"""Rows per second by length of the texts and size of the model, and the share of the peak.

The peak is what the run's own matrix products take by themselves, in turns with the run. See
README.md beside this file.
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
from products import alone, operations, products_of
from reporting import SAMPLE, add_clock_option, add_json_option, aligned, clock, emit, say
from transformers import BertConfig, BertForSequenceClassification

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.records import Row
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import (
    Compute,
    Maths,
    ModelChoice,
    OutputChoice,
    Request,
    Sampling,
    TextsChoice,
)

LENGTHS = (16, 64, 256, 512)
BERTS = {"6 × 384": (6, 384), "12 × 768": (12, 768)}
"""Layers and width of the models that are made up for their size: weights do not change a time."""
MIB = 2**20
HEADER = ("model", "tokens", "rows/s", "GFLOP/s", "share of peak", "min–max", "peak MiB")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model did on texts of one length; `shares` of the peak in each round."""

    model: str
    tokens: int
    rows: int
    seconds: list[float]
    shares: list[float]
    operations: int
    peak_mib: float | None

    def cells(self) -> list[str]:
        """Return a line of the table."""
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
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers")},
    }
    figures = {**setting, "cells": [asdict(cell) for cell in cells]}
    emit(aligned(HEADER, [cell.cells() for cell in cells]), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, metavar="PATH", help="this one alone")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS, metavar="N")
    parser.add_argument(
        "--tokens", type=int, default=1024, metavar="N", help="of all texts of a length"
    )
    parser.add_argument(
        "--samples", type=int, default=10, metavar="N", help="independent (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="R", help="%(default)s")
    parser.add_argument("--dtype", default="float32", help="as of explain (%(default)s)")
    parser.add_argument("--batch-tokens", type=int, metavar="N", help="as of explain (its rule)")
    parser.add_argument(
        "--streams", type=int, metavar="N", help="batches side by side (the tool's rule)"
    )
    add_clock_option(parser)
    add_json_option(parser)
    return parser.parse_args()


def models(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield names and paths: the model asked for, or the sample's and made-up ones."""
    if options.model is not None:
        yield options.model.resolve().name, options.model
        return
    yield "sample, 2 × 128", SAMPLE / "model.pt"
    for name, (layers, width) in BERTS.items():
        path = folder / name
        save_bert(path, layers=layers, width=width)
        yield name, path


def save_bert(folder: Path, *, layers: int, width: int) -> None:
    """Save a BERT of a size, with random weights and the sample's tokenizer."""
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
    """Load a model, for independent samples of its token embeddings."""
    sampling = Sampling(samples=options.samples, antithetic=False, noise=NOISE)
    request = Request(
        model=ModelChoice(path),
        texts=TextsChoice("-"),
        compute=Compute(device="cpu", dtype=options.dtype, batch_tokens=options.batch_tokens),
        maths=Maths(sampling=sampling),
        output=OutputChoice(Path()),
    )
    engine = build_engine(request)
    return engine if options.streams is None else replace(engine, streams=options.streams)


def measure(options: argparse.Namespace, engine: Engine, *, name: str, length: int) -> Cell:
    """Explain texts of one length, and make the products of that by themselves, in turns."""
    say(f"{name}, {length} tokens")
    engine = replace(engine, classifier=replace(engine.classifier, max_length=length))
    rows = made_up(max(engine.streams, options.tokens // length), length)
    products = products_of(rows, engine)
    now = clock(options)
    reset_peak()
    seconds, shares = [], []
    for _ in range(options.rounds):
        started = now()
        for _outcome in explain(rows, engine):
            pass
        seconds.append(now() - started)
        shares.append(alone(products, streams=engine.streams, clock=now) / seconds[-1])
    return Cell(name, length, len(rows), seconds, shares, operations(products), peak())


def made_up(count: int, length: int) -> list[Row]:
    """Return texts of the sample's words that are cut after `length` tokens, each another one."""
    lines = (SAMPLE / "texts.jsonl").read_text(encoding="utf-8").splitlines()
    words = [word for line in lines for word in json.loads(line)["text"].split()]
    starts = islice(range(0, len(words), max(1, (len(words) - length) // count)), count)
    texts = [" ".join(words[start : start + length]) for start in starts]
    return [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(texts)]


def reset_peak() -> None:
    """Forget the largest resident memory so far, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak() -> float | None:
    """Return the largest resident memory since then in MiB, or None where it is not told."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / MIB


if __name__ == "__main__":
    main()
