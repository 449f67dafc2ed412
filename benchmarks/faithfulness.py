"""How faithful attribution methods are: how far the probability falls when strong tokens go.

The first tokens of each text by score are erased, deleted or masked, and the probability of the
predicted label is read again. See README.md beside this file.
"""

import argparse
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeAlias

from reporting import SAMPLE, add_json_option, aligned, emit, print_progress
from torch import Tensor

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.errors import UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import clean_passes, token_batch
from saliency_cli.model.perturbation import mask_id
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Encoding, Row
from saliency_cli.runs.request import Request
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, ModelChoice, OutputChoice

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""Shares of a text's tokens that are erased, at least one token (DeYoung et al., "ERASER: a
benchmark to evaluate rationalized NLP models", 2020, section 4: comprehensiveness)."""
STRONGEST = 5
"""Signs are compared on the fifth of the tokens that matter most when left out."""
ERASURES = ("delete", "mask")
BATCH = 64
HEADER = ("method", "evaluations", *ERASURES, "± one error", "signs")
Scores: TypeAlias = list[float]
"""One score a token; special tokens are never erased."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text with what the model predicts for it.

    Attributes:
        encoding: Its tokens.
        target: The index of the predicted label.
        logit: The label's logit.
        probability: The label's probability.
    """

    encoding: Encoding
    target: int
    logit: float
    probability: float

    @property
    def positions(self) -> list[int]:
        """The positions of tokens that can be erased."""
        return [place for place, special in enumerate(self.encoding.special) if not special]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a method gives for the texts.

    Attributes:
        scores: One list a text.
        evaluations: Mean number of forward passes a text.
        signed: Whether scores have signs.
    """

    scores: list[Scores]
    evaluations: float
    signed: bool = True


PLAIN = Maths(reduction="l2", propagation="standard")
METHODS: dict[str, Maths] = {
    "gradient × input": Maths(Gradient(), "dot", "standard"),
    "SmoothGrad, l2, 4 passes at 0.01": replace(PLAIN, method=SmoothGrad(samples=4, noise=0.01)),
    "integrated gradients, 32 steps": Maths(IntegratedGradients(steps=32), "dot", "standard"),
    "conservative, no noise": Maths(Gradient()),
    "the default": Maths(),
}


def main() -> None:
    """Rank the tokens by every method, erase them, and print what the probability falls by."""
    options = parse()
    methods = METHODS | {
        f"conservative, {passes} passes at {noise}": Maths(SmoothGrad(samples=passes, noise=noise))
        for passes in options.samples
        for noise in options.noise
    }
    engines = accepted_engines(options, methods)
    classifier = engines["the default"].classifier
    rows, texts = read(options, classifier)
    left_out = leave_one_out(texts, classifier)
    rankings: dict[str, Callable[[], Ranking]] = {
        "random": lambda: random_order(texts),
        "occlusion by mask": lambda: left_out,
        **{name: partial(ranked, rows, engine) for name, engine in engines.items()},
    }
    lines = []
    for name, rank in rankings.items():
        print_progress(name)
        lines.append(measure(name, rank(), texts, left_out, classifier))
    cells = [line.cells() for line in lines]
    figures = {"texts": len(texts), "methods": [line.figures() for line in lines]}
    emit(aligned(HEADER, cells), figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", default=str(SAMPLE / "texts.jsonl"), metavar="PATH")
    parser.add_argument("--limit", type=int, default=60, metavar="N", help="texts (%(default)s)")
    parser.add_argument("--noise", type=float, nargs="*", default=[], metavar="S")
    parser.add_argument("--samples", type=int, nargs="*", default=[], metavar="N")
    add_json_option(parser)
    return parser.parse_args()


def accepted_engines(options: argparse.Namespace, methods: dict[str, Maths]) -> dict[str, Engine]:
    """Return the engine of each method that the model does not refuse, and print which it does.

    Args:
        options: The options of the command line.
        methods: What is computed, by name.
    """
    engines = {}
    for name, maths in methods.items():
        try:
            engines[name] = build_engine(request_of(options, maths))
        except UsageError as error:
            print_progress(f"{name} is refused: {error}")
    return engines


def request_of(options: argparse.Namespace, maths: Maths) -> Request:
    """Return the request of a run.

    Args:
        options: The options of the command line.
        maths: What is computed.
    """
    return Request(
        model=ModelChoice(options.model),
        texts=TextsChoice(options.texts),
        compute=Compute(dtype="float32", device="cpu"),
        maths=maths,
        output=OutputChoice(Path()),
    )


def read(options: argparse.Namespace, classifier: Classifier) -> tuple[list[Row], list[Text]]:
    """Return rows spread evenly over the file, with at least five tokens that can be erased.

    Args:
        options: The options of the command line.
        classifier: The model, which predicts the texts' labels.
    """
    with open_texts(TextsChoice(options.texts)) as source:
        rows = [row for row in source.all_rows() if isinstance(row, Row)]
    encodings = encode(
        classifier.tokenizer, [row.text for row in rows], max_length=classifier.max_length
    )
    long = [
        (row, encoding)
        for row, encoding in zip(rows, encodings, strict=True)
        if encoding.special.count(False) >= STRONGEST
    ]
    chosen = long[:: max(1, len(long) // options.limit)][: options.limit]
    texts = []
    for _, encoding in chosen:
        (logits,) = clean_passes(classifier, token_batch([encoding], classifier)).logits
        target = int(logits.argmax())
        probability = float(logits.softmax(dim=0)[target])
        texts.append(Text(encoding, target, float(logits[target]), probability))
    return [row for row, _ in chosen], texts


def ranked(rows: Sequence[Row], engine: Engine) -> Ranking:
    """Return the engine's scores.

    Args:
        rows: The texts.
        engine: Model and maths.
    """
    outcomes = [each for each in explain(rows, engine) if isinstance(each, Explanation)]
    found = [outcome.attribution for outcome in outcomes]
    evaluations = fmean(outcome.record()["evaluations"] for outcome in outcomes)
    scores = [list(each.scores) for each in found]
    return Ranking(scores, evaluations, signed=engine.maths.reduction == "dot")


def random_order(texts: Sequence[Text]) -> Ranking:
    """Return random scores: what any method must be better than."""
    generator = random.Random(0)  # noqa: S311 - no secret
    scores = [[generator.random() for _ in text.encoding.ids] for text in texts]
    return Ranking(scores, 0, signed=False)


def leave_one_out(texts: Sequence[Text], classifier: Classifier) -> Ranking:
    """Return by how much the logit falls when each token is masked (Li et al., 2016).

    Args:
        texts: The texts.
        classifier: The model.
    """
    erased = [
        (text, without(text.encoding, {place}, "mask", classifier))
        for text in texts
        for place in text.positions
    ]
    logits = iter(logits_of([encoding for _, encoding in erased], classifier))
    scores = []
    for text in texts:
        values = [0.0] * len(text.encoding)
        for place in text.positions:
            values[place] = text.logit - float(next(logits)[text.target])
        scores.append(values)
    return Ranking(scores, fmean(len(text.positions) for text in texts))


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of one method.

    Attributes:
        falls: For each way to erase, the mean fall of the probability of each text.
        signs: Share of the strongest tokens whose sign is that of leaving them out; or None.
    """

    name: str
    evaluations: float
    falls: dict[str, list[float]]
    signs: float | None

    def figures(self) -> dict[str, object]:
        """Return the figures by name."""
        means = {how: fmean(values) for how, values in self.falls.items()}
        return {
            "name": self.name,
            "evaluations": self.evaluations,
            **means,
            "error": self.error(),
            "signs": self.signs,
        }

    def error(self) -> float:
        """Return the larger standard error of the two means."""
        return max(stdev(values) / sqrt(len(values)) for values in self.falls.values())

    def cells(self) -> list[str]:
        """Return the cells of a line of the table."""
        means = [f"{fmean(self.falls[how]):.3f}" for how in ERASURES]
        signs = "" if self.signs is None else f"{self.signs:.0%}"
        return [self.name, f"{self.evaluations:.0f}", *means, f"{self.error():.3f}", signs]


def measure(
    name: str,
    ranking: Ranking,
    texts: Sequence[Text],
    left_out: Ranking,
    classifier: Classifier,
) -> Line:
    """Return the figures of a method.

    Args:
        name: The method.
        ranking: Its scores.
        texts: The texts.
        left_out: What leaving tokens out gives.
        classifier: The model.
    """
    falls = {how: probability_falls(ranking, texts, how, classifier) for how in ERASURES}
    signs = agreeing_signs(ranking, texts, left_out) if ranking.signed else None
    return Line(name, ranking.evaluations, falls, signs)


def probability_falls(
    ranking: Ranking, texts: Sequence[Text], how: str, classifier: Classifier
) -> list[float]:
    """Return for each text the mean fall of the probability, over `SHARES`."""
    erased = []
    for text, scores in zip(texts, ranking.scores, strict=True):
        order = sorted(text.positions, key=lambda place: -scores[place])
        for share in SHARES:
            first = {*order[: max(1, round(share * len(order)))]}
            erased.append(without(text.encoding, first, how, classifier))
    logits = iter(logits_of(erased, classifier))
    return [
        fmean(text.probability - float(next(logits).softmax(dim=0)[text.target]) for _ in SHARES)
        for text in texts
    ]


def agreeing_signs(ranking: Ranking, texts: Sequence[Text], left_out: Ranking) -> float:
    """Return the share of the strongest tokens whose sign is that of leaving them out."""
    agree: list[float] = []
    for text, scores, falls in zip(texts, ranking.scores, left_out.scores, strict=True):
        strongest = sorted(text.positions, key=lambda place: -abs(falls[place]))
        most = strongest[: len(strongest) // STRONGEST]
        agree += [float(scores[place] * falls[place] > 0) for place in most]
    return fmean(agree)


def without(encoding: Encoding, places: set[int], how: str, classifier: Classifier) -> Encoding:
    """Return an encoding with tokens deleted, or masked as in a baseline."""
    if how == "mask":
        fill = mask_id(classifier)
        ids = (fill if n in places else token for n, token in enumerate(encoding.ids))
        return replace(encoding, ids=tuple(ids))
    kept = [place for place in range(len(encoding)) if place not in places]
    names = ("ids", "type_ids", "tokens", "offsets", "special", "segments")
    columns: dict[str, Any] = {
        name: tuple(getattr(encoding, name)[place] for place in kept) for name in names
    }
    return replace(encoding, **columns)


def logits_of(encodings: Sequence[Encoding], classifier: Classifier) -> Iterable[Tensor]:
    """Return the logits of many encodings in their order, from batches of similar length."""
    found: dict[int, Tensor] = {}
    order = sorted(range(len(encodings)), key=lambda number: len(encodings[number]))
    for batch in batches(order, encodings, padded=classifier.padding_blind):
        tokens = token_batch([encodings[number] for number in batch], classifier)
        found |= dict(zip(batch, clean_passes(classifier, tokens).logits, strict=True))
    return (found[number] for number in range(len(encodings)))


def batches(
    order: Sequence[int], encodings: Sequence[Encoding], *, padded: bool
) -> Iterable[list[int]]:
    """Yield the numbers of encodings that are run together; of one length unless padded."""
    batch: list[int] = []
    for number in order:
        other = batch and not padded and len(encodings[number]) != len(encodings[batch[0]])
        if len(batch) == BATCH or other:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


if __name__ == "__main__":
    main()
