"""Seconds of one core that a row takes, by its number of tokens, and a curve through them.

docs/scale.md predicts the cost of large runs with the curve. See README.md beside this file.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from statistics import median

import torch
from reporting import SAMPLE, add_json_option, aligned, emit, print_progress

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.checkpoints import load
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import MAX_BATCH_TOKENS
from saliency_cli.records import Row
from saliency_cli.settings import Compute, ModelChoice

HEADER = ("tokens", "rows/s of a core", "curve, rows/s")
POWERS = (0, 1, 2)
"""Powers of L, the number of tokens: the cost of a row, of each token, of each pair of tokens."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The cost of rows of one length.

    Attributes:
        tokens: Tokens of a row.
        seconds: Seconds of one core for a row.
    """

    tokens: int
    seconds: float


def main() -> None:
    """Measure each length, fit the curve, and print both."""
    options = parse()
    torch.set_num_threads(1)
    classifier = load(ModelChoice(options.model), Compute(device="cpu"))
    engine = Engine(
        classifier,
        Maths(SmoothGrad(samples=options.samples)),
        Budget(MAX_BATCH_TOKENS["cpu"], equal_lengths=not classifier.padding_blind),
    )
    words = vocabulary(options.texts)
    measurements = []
    for tokens in options.tokens:
        print_progress(f"{tokens} tokens")
        texts = texts_of(tokens, words=words, classifier=classifier, rows=options.rows)
        measurements.append(Measurement(tokens, seconds_of(texts, engine, rounds=options.rounds)))
    curve = fit(measurements)
    cells = [
        [str(one.tokens), f"{1 / one.seconds:.1f}", f"{1 / predicted(curve, one.tokens):.1f}"]
        for one in measurements
    ]
    figures = {
        "curve": dict(zip(("row", "token", "pair"), curve, strict=True)),
        "model": options.model.resolve().name,
        "rows_per_core_second": {one.tokens: 1 / one.seconds for one in measurements},
        "samples": options.samples,
    }
    terms = " + ".join(
        f"{1e3 * term:.3g}·L^{power}" for term, power in zip(curve, POWERS, strict=True)
    )
    report = f"{aligned(HEADER, cells)}\n\nmilliseconds of a core: {terms}"
    emit(report, figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", type=Path, default=SAMPLE / "texts.jsonl", metavar="FILE")
    parser.add_argument("--tokens", type=int, nargs="+", default=[8, 16, 32, 64, 128], metavar="L")
    parser.add_argument("--rows", type=int, default=256, metavar="N", help="of each length")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--samples", type=int, default=4, metavar="N", help="passes (%(default)s)")
    add_json_option(parser)
    return parser.parse_args()


def vocabulary(texts: Path) -> list[str]:
    """Return the words of all texts of a file, in order."""
    with open_texts(TextsChoice(str(texts))) as source:
        return [
            word for row in source.all_rows() if isinstance(row, Row) for word in row.text.split()
        ]


def texts_of(tokens: int, *, words: Sequence[str], classifier: Classifier, rows: int) -> list[str]:
    """Return texts that are as long as possible without exceeding a number of tokens.

    Args:
        tokens: The number of tokens of a text, special tokens included.
        words: The words that the texts are made of; they are repeated when they run out.
        classifier: Its tokenizer counts the tokens.
        rows: The number of texts.
    """
    next_words, texts = cycle(words), list[str]()
    while len(texts) < rows:
        text = next(next_words)
        for _ in count():
            longer = f"{text} {next(next_words)}"
            if len(classifier.tokenizer(longer)["input_ids"]) > tokens:
                break
            text = longer
        texts.append(text)
    return texts


def seconds_of(texts: Sequence[str], engine: Engine, *, rounds: int) -> float:
    """Return the seconds of one core per row: the median of several rounds.

    Args:
        texts: The texts that are explained in each round.
        engine: The engine, on one thread.
        rounds: The number of rounds; a short round before them warms up and is not counted.
    """
    rows = [Row(number, number + 1, None, text) for number, text in enumerate(texts)]
    times = []
    for part in (rows[:32], *[rows] * rounds):
        started = time.process_time()
        for _outcome in explain(part, engine):
            pass
        times.append((time.process_time() - started) / len(part))
    return median(times[1:])


def fit(measurements: Sequence[Measurement]) -> list[float]:
    """Return the coefficients of the curve, in the order of `POWERS`, in seconds.

    Least squares of the relative errors. A term whose coefficient would be negative is left out.
    """
    lengths = torch.tensor([one.tokens for one in measurements], dtype=torch.float64)
    seconds = torch.tensor([one.seconds for one in measurements], dtype=torch.float64)
    chosen = [*POWERS]
    while True:
        basis = torch.stack([lengths**power for power in chosen], dim=1) / seconds[:, None]
        solution = torch.linalg.lstsq(
            basis, torch.ones(len(measurements), 1, dtype=torch.float64)
        ).solution
        terms = dict(zip(chosen, solution.flatten().tolist(), strict=True))
        if min(terms.values()) >= 0:
            return [terms.get(power, 0.0) for power in POWERS]
        chosen.remove(min(terms, key=terms.__getitem__))


def predicted(curve: Sequence[float], tokens: int) -> float:
    """Return the seconds of one core for a row, according to the curve.

    Args:
        curve: The coefficients, as `fit` returns them.
        tokens: Tokens of the row.
    """
    return sum(term * float(tokens) ** power for term, power in zip(curve, POWERS, strict=True))


if __name__ == "__main__":
    main()
