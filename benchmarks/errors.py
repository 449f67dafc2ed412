"""Whether the reported errors are true, and the order of the top tokens settled.

Scores at some numbers of passes are held against a long run; see README.md beside this file.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from reporting import SAMPLE, add_json_option, aligned, emit, say

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.cli.choices import parse_samples
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.records import Attribution, Explanation, Row
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

REFERENCE_SEED = 1_000_003
TOP = 5
HEADER = ("--samples", "passes", "L1 error", "within 1 SE", "within 2 SE", f"top {TOP} in order")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the scores of one setting were worth, over all texts and seeds."""

    samples: str
    passes: float
    l1_error: float
    within_one: float | None
    within_two: float | None
    top_in_order: float

    def cells(self) -> list[str]:
        """Return a line of the table."""
        shares = (self.within_one, self.within_two, self.top_in_order)
        shown = ["" if share is None else f"{share:.1%}" for share in shares]
        return [
            self.samples,
            f"{self.passes:.1f}",
            f"{self.l1_error:.5f}",
            *shown,
        ]


def main() -> None:
    """Explain a few texts at length, then shortly with several seeds, and compare."""
    options = parse()
    engine, rows = prepare(options)
    say(f"{len(rows)} texts, the long run of {options.reference} passes")
    long = Sampling(samples=options.reference, seed=REFERENCE_SEED)
    truths = attributions(build_engine(asked(options, dtype="float32")), rows, long)
    verdicts = []
    for name, chosen in samplings(options).items():
        say(f"--samples {name}")
        found = [
            attributions(engine, rows, replace(chosen, seed=seed)) for seed in range(options.seeds)
        ]
        verdicts.append(judge(name, found, truths))
    figures = {
        "dtype": options.dtype,
        "reduction": options.reduction,
        "texts": len(rows),
        "settings": [
            {name: getattr(verdict, name) for name in Verdict.__slots__} for verdict in verdicts
        ],
    }
    table = aligned(HEADER, [verdict.cells() for verdict in verdicts])
    emit(table, figures, target=options.json)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", type=Path, default=SAMPLE / "model.pt", metavar="PATH")
    parser.add_argument("--texts", default=str(SAMPLE / "texts.jsonl"), metavar="PATH")
    parser.add_argument("--limit", type=int, default=48, metavar="N", help="texts (%(default)s)")
    parser.add_argument("--reduction", default="l2", help="l2 or dot (%(default)s)")
    parser.add_argument("--dtype", default="auto", help="the long run is float32 (%(default)s)")
    parser.add_argument("--samples", nargs="+", default=["2", "4", "8", "16", "64", "auto"])
    parser.add_argument(
        "--independent", nargs="*", type=int, default=[10], metavar="N", help="%(default)s"
    )
    parser.add_argument("--seeds", type=int, default=4, metavar="N", help="%(default)s")
    parser.add_argument("--reference", type=int, default=4096, metavar="N", help="%(default)s")
    add_json_option(parser)
    return parser.parse_args()


def samplings(options: argparse.Namespace) -> dict[str, Sampling]:
    """Return the settings to be judged, by what they are called: pairs, then independent passes."""
    pairs = {name: Sampling(samples=parse_samples(name)) for name in options.samples}
    single = {
        f"{count}, independent": Sampling(samples=count, antithetic=False)
        for count in options.independent
    }
    return pairs | single


def prepare(options: argparse.Namespace) -> tuple[Engine, list[Row]]:
    """Load the model, and read texts evenly from the whole file."""
    request = asked(options, dtype=options.dtype)
    with open_texts(request.texts) as source:
        rows = [row for row in source.all_rows() if isinstance(row, Row)]
    every = max(1, len(rows) // options.limit)
    return build_engine(request), rows[::every][: options.limit]


def asked(options: argparse.Namespace, *, dtype: DtypeName) -> Request:
    """Return what the command line asks for, in a number format."""
    return Request(
        model=ModelChoice(options.model),
        texts=TextsChoice(options.texts),
        compute=Compute(dtype=dtype),
        maths=Maths(reduction=options.reduction),
        output=OutputChoice(Path()),
    )


def attributions(engine: Engine, rows: Sequence[Row], sampling: Sampling) -> list[Attribution]:
    """Explain the texts with this sampling."""
    run = replace(engine, maths=replace(engine.maths, sampling=sampling))
    return [found.attribution for found in explain(rows, run) if isinstance(found, Explanation)]


def judge(
    samples: str, runs: Sequence[Sequence[Attribution]], truths: Sequence[Attribution]
) -> Verdict:
    """Compare each run with the long one, token by token."""
    both = [(found, truth) for run in runs for found, truth in zip(run, truths, strict=True)]
    return Verdict(
        samples,
        passes=fmean(found.samples for found, _ in both),
        l1_error=fmean(sum(off(found, truth)) for found, truth in both),
        within_one=within(both, 1),
        within_two=within(both, 2),
        top_in_order=fmean(top(found) == top(truth) for found, truth in both),
    )


def off(found: Attribution, truth: Attribution) -> list[float]:
    """Return how far each score is off."""
    return [abs(one - other) for one, other in zip(found.scores, truth.scores, strict=True)]


def within(both: Sequence[tuple[Attribution, Attribution]], errors: float) -> float | None:
    """Return the share of scores that so many of their errors cover; one draw knows no errors."""
    shares = []
    for found, truth in both:
        if found.errors is None:
            return None
        pairs = zip(off(found, truth), found.errors, strict=True)
        shares.append(fmean(distance <= errors * error for distance, error in pairs))
    return fmean(shares)


def top(found: Attribution) -> list[int]:
    """Return the places of the tokens with the largest scores, largest first."""
    positions = sorted(range(len(found.scores)), key=lambda place: -abs(found.scores[place]))
    return positions[:TOP]


if __name__ == "__main__":
    main()
