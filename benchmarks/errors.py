"""Whether the reported standard errors are right, and after how many passes the order is stable.

Scores after several numbers of passes are compared with a long reference run. See README.md beside
this file.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from reporting import SAMPLE, add_json_option, aligned, emit, print_progress

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.parameters import parse_samples
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.explanations import Attribution, Explanation
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.records import Row
from saliency_cli.runs.request import Request
from saliency_cli.runs.setup import build_engine
from saliency_cli.settings import Compute, DtypeName, ModelChoice, OutputChoice

REFERENCE_SEED = 1_000_003
"""No seed of a compared run: their draws must not be part of the reference."""
TOP = 5
HEADER = ("--samples", "passes", "L1 error", "within 1 SE", "within 2 SE", f"top {TOP} in order")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How close the scores of one setting are to the reference, over all texts and seeds.

    Attributes:
        samples: The setting of `--samples`.
        passes: Mean number of passes per text.
        l1_error: Mean sum of the absolute differences to the reference.
        within_one: Share of scores that differ by at most one standard error; None without errors.
        within_two: The same for two standard errors.
        top_in_order: Share of texts whose `TOP` largest scores have the reference's order.
    """

    samples: str
    passes: float
    l1_error: float
    within_one: float | None
    within_two: float | None
    top_in_order: float

    def cells(self) -> list[str]:
        """Return the cells of a line of the table."""
        shares = (self.within_one, self.within_two, self.top_in_order)
        percentages = ["" if share is None else f"{share:.1%}" for share in shares]
        return [
            self.samples,
            f"{self.passes:.1f}",
            f"{self.l1_error:.5f}",
            *percentages,
        ]


def main() -> None:
    """Explain a few texts with many passes, then with few and several seeds, and compare."""
    options = parse()
    engine, rows = prepare(options)
    print_progress(f"{len(rows)} texts, reference run of {options.reference} passes")
    reference = SmoothGrad(samples=options.reference, seed=REFERENCE_SEED)
    references = attributions(build_engine(request_of(options, dtype="float32")), rows, reference)
    accuracies = []
    for name, method in methods(options).items():
        print_progress(f"--samples {name}")
        runs = [
            attributions(engine, rows, replace(method, seed=seed)) for seed in range(options.seeds)
        ]
        accuracies.append(compare(name, runs, references))
    figures = {
        "dtype": options.dtype,
        "propagation": options.propagation,
        "reduction": options.reduction,
        "texts": len(rows),
        "settings": [
            {name: getattr(accuracy, name) for name in Accuracy.__slots__}
            for accuracy in accuracies
        ],
    }
    table = aligned(HEADER, [accuracy.cells() for accuracy in accuracies])
    emit(table, figures, target=options.json)


def parse() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", default=str(SAMPLE / "texts.jsonl"), metavar="PATH")
    parser.add_argument("--limit", type=int, default=48, metavar="N", help="texts (%(default)s)")
    parser.add_argument("--reduction", default="dot", help="l2 or dot (%(default)s)")
    parser.add_argument("--propagation", default="conservative", help="or standard (%(default)s)")
    parser.add_argument(
        "--dtype", default="auto", help="the reference run is float32 (%(default)s)"
    )
    parser.add_argument("--samples", nargs="+", default=["2", "4", "8", "16", "64", "auto"])
    parser.add_argument(
        "--independent", nargs="*", type=int, default=[10], metavar="N", help="%(default)s"
    )
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="%(default)s")
    parser.add_argument("--reference", type=int, default=4096, metavar="N", help="%(default)s")
    add_json_option(parser)
    return parser.parse_args()


def methods(options: argparse.Namespace) -> dict[str, SmoothGrad]:
    """Return the settings that are compared, by name: antithetic pairs, then independent passes."""
    pairs = {name: SmoothGrad(samples=parse_samples(name)) for name in options.samples}
    single = {
        f"{count}, independent": SmoothGrad(samples=count, antithetic=False)
        for count in options.independent
    }
    return pairs | single


def prepare(options: argparse.Namespace) -> tuple[Engine, list[Row]]:
    """Return the loaded model, and rows spread evenly over the file."""
    request = request_of(options, dtype=options.dtype)
    with open_texts(request.texts) as source:
        rows = [row for row in source.all_rows() if isinstance(row, Row)]
    every = max(1, len(rows) // options.limit)
    return build_engine(request), rows[::every][: options.limit]


def request_of(options: argparse.Namespace, *, dtype: DtypeName) -> Request:
    """Return the request that the options describe.

    Args:
        options: The options of the command line.
        dtype: The number format, as of `--dtype`.
    """
    return Request(
        model=ModelChoice(options.model),
        texts=TextsChoice(options.texts),
        compute=Compute(dtype=dtype),
        maths=Maths(reduction=options.reduction, propagation=options.propagation),
        output=OutputChoice(Path()),
    )


def attributions(engine: Engine, rows: Sequence[Row], method: SmoothGrad) -> list[Attribution]:
    """Return the attributions of the texts.

    Args:
        engine: The engine.
        rows: The texts.
        method: The number of passes and the seed, in place of the engine's own.
    """
    changed = replace(engine, maths=replace(engine.maths, method=method))
    outcomes = explain(rows, changed)
    return [outcome.attribution for outcome in outcomes if isinstance(outcome, Explanation)]


def compare(
    samples: str, runs: Sequence[Sequence[Attribution]], references: Sequence[Attribution]
) -> Accuracy:
    """Compare runs with the reference run, token by token.

    Args:
        samples: The setting of `--samples`.
        runs: The attributions of all texts, for each seed.
        references: The attributions of all texts in the reference run.
    """
    pairs = [
        (attribution, reference)
        for run in runs
        for attribution, reference in zip(run, references, strict=True)
    ]
    return Accuracy(
        samples,
        passes=fmean(attribution.samples or 1 for attribution, _ in pairs),
        l1_error=fmean(sum(distances(*pair)) for pair in pairs),
        within_one=share_within(pairs, 1),
        within_two=share_within(pairs, 2),
        top_in_order=fmean(
            top_tokens(attribution) == top_tokens(reference) for attribution, reference in pairs
        ),
    )


def distances(attribution: Attribution, reference: Attribution) -> list[float]:
    """Return the absolute difference of each token's score to the reference.

    Args:
        attribution: The scores of one text.
        reference: Those of the reference run.
    """
    pairs = zip(attribution.scores, reference.scores, strict=True)
    return [abs(score - truth) for score, truth in pairs]


def share_within(pairs: Sequence[tuple[Attribution, Attribution]], errors: float) -> float | None:
    """Return the share of scores whose distance is at most a number of standard errors.

    Args:
        pairs: Attributions, each with its reference.
        errors: The number of standard errors.

    Returns:
        The mean share over all texts; None if there are no standard errors, as with one draw.
    """
    shares = []
    for attribution, reference in pairs:
        if attribution.errors is None:
            return None
        compared = zip(distances(attribution, reference), attribution.errors, strict=True)
        shares.append(fmean(distance <= errors * error for distance, error in compared))
    return fmean(shares)


def top_tokens(attribution: Attribution) -> list[int]:
    """Return the indices of the tokens with the largest scores, largest first."""
    scores = attribution.scores
    return sorted(range(len(scores)), key=lambda index: -abs(scores[index]))[:TOP]


if __name__ == "__main__":
    main()
