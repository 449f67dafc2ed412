"""Seconds of one core that a row takes, by its tokens, and a curve through them.

The curve is what docs/scale.md predicts with. See README.md beside this file.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, cycle
from pathlib import Path
from statistics import median

import torch
from reporting import SAMPLE, add_json_option, aligned, emit, say

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.checkpoints import load
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import MAX_BATCH_TOKENS
from saliency_cli.records import Row
from saliency_cli.settings import Compute, Maths, ModelChoice, Sampling, TextsChoice

HEADER = ("tokens", "rows/s of a core", "the curve's")
POWERS = (0, 1, 2)
"""What is paid for a row, for a token and for a pair of tokens."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of one length: how many tokens, and seconds of a core for each."""

    tokens: int
    seconds: float


def main() -> None:
    """Measure each length, fit the curve, and print both."""
    options = parse()
    torch.set_num_threads(1)
    classifier = load(ModelChoice(options.model), Compute(device="cpu"))
    engine = Engine(
        classifier,
        Maths(sampling=Sampling(samples=options.samples)),
        Budget(MAX_BATCH_TOKENS["cpu"], equal_lengths=not classifier.padding_blind),
    )
    words = vocabulary(options.texts)
    found = []
    for tokens in options.tokens:
        say(f"{tokens} tokens")
        texts = texts_of(tokens, words=words, classifier=classifier, rows=options.rows)
        found.append(Measured(tokens, seconds_of(texts, engine, rounds=options.rounds)))
    curve = fit(found)
    cells = [
        [str(one.tokens), f"{1 / one.seconds:.1f}", f"{1 / predicted(curve, one.tokens):.1f}"]
        for one in found
    ]
    figures = {
        "curve": dict(zip(("row", "token", "pair"), curve, strict=True)),
        "model": options.model.resolve().name,
        "rows_per_core_second": {one.tokens: 1 / one.seconds for one in found},
        "samples": options.samples,
    }
    terms = " + ".join(
        f"{1e3 * term:.3g}·L^{power}" for term, power in zip(curve, POWERS, strict=True)
    )
    report = f"{aligned(HEADER, cells)}\n\nmilliseconds of a core: {terms}"
    emit(report, figures, target=options.json)


def parse() -> argparse.Namespace:
    """Read the command line."""
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
    """Return the words of a file of texts, in order."""
    with open_texts(TextsChoice(str(texts))) as source:
        return [
            word for row in source.all_rows() if isinstance(row, Row) for word in row.text.split()
        ]


def texts_of(tokens: int, *, words: Sequence[str], classifier: Classifier, rows: int) -> list[str]:
    """Put words together to texts of so many tokens, special ones counted."""
    supply, texts = cycle(words), list[str]()
    while len(texts) < rows:
        text = next(supply)
        for _ in count():
            longer = f"{text} {next(supply)}"
            if len(classifier.tokenizer(longer)["input_ids"]) > tokens:
                break
            text = longer
        texts.append(text)
    return texts


def seconds_of(texts: Sequence[str], engine: Engine, *, rounds: int) -> float:
    """Return the seconds of a core for a row: the median of some rounds, after a short one."""
    rows = [Row(number, number + 1, None, text) for number, text in enumerate(texts)]
    times = []
    for part in (rows[:32], *[rows] * rounds):
        started = time.process_time()
        for _outcome in explain(part, engine):
            pass
        times.append((time.process_time() - started) / len(part))
    return median(times[1:])


def fit(found: Sequence[Measured]) -> list[float]:
    """Return what is paid for a row, a token and a pair, none below 0; relative errors count."""
    lengths = torch.tensor([one.tokens for one in found], dtype=torch.float64)
    seconds = torch.tensor([one.seconds for one in found], dtype=torch.float64)
    chosen = [*POWERS]
    while True:
        basis = torch.stack([lengths**power for power in chosen], dim=1) / seconds[:, None]
        solution = torch.linalg.lstsq(
            basis, torch.ones(len(found), 1, dtype=torch.float64)
        ).solution
        terms = dict(zip(chosen, solution.flatten().tolist(), strict=True))
        if min(terms.values()) >= 0:
            return [terms.get(power, 0.0) for power in POWERS]
        chosen.remove(min(terms, key=terms.__getitem__))


def predicted(curve: Sequence[float], tokens: int) -> float:
    """Return the seconds of a core that the curve has for a row."""
    return sum(term * float(tokens) ** power for term, power in zip(curve, POWERS, strict=True))


if __name__ == "__main__":
    main()
