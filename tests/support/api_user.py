"""A user's script with every public name of `saliency_cli`; mypy reads it, and nothing runs it.

Where a line is wrong on purpose, mypy must say so: an ignored error that is none is an error.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_type

from torch import nn

import saliency_cli
from saliency_cli import (
    Attention,
    CheckpointError,
    Classifier,
    Explanation,
    Gradient,
    IntegratedGradients,
    Lime,
    Method,
    Occlusion,
    QuarantinedRow,
    RandomScores,
    Run,
    RunFindings,
    SaliencyError,
    Shapley,
    SmoothGrad,
    SmoothGradSquared,
    SuspectWords,
    UsageError,
    VarGrad,
    WordScore,
)

METHODS: list[Method] = [
    Attention(),
    Gradient(),
    IntegratedGradients(steps=10, baseline="pad"),
    Lime(samples=100),
    Occlusion(units="words"),
    RandomScores(seed=1),
    Shapley(),
    SmoothGrad(samples=8, noise=0.02),
    SmoothGradSquared(),
    VarGrad(),
]


def loaded(module: nn.Module, tokenizer: object) -> Classifier:
    """Return a classifier in the ways that there are."""
    try:
        return saliency_cli.load(module, tokenizer=tokenizer, labels=["ham", "spam"])
    except UsageError as error:
        print(error.hint)
    except (CheckpointError, SaliencyError) as error:
        print(error.message)
    return saliency_cli.load(Path("model"), tokenizer="folder", device="cpu", dtype="bfloat16")


def explained(classifier: Classifier) -> list[WordScore]:
    """Return the words of all texts that are explained."""
    found = saliency_cli.explain(
        classifier,
        ["one", ("a", "pair"), {"text": "three", "label": "ham", "id": 3}],
        method=METHODS[0],
        target="all",
        read_ahead=8,
    )
    assert_type(found, Iterator[Explanation | QuarantinedRow])
    words: list[WordScore] = []
    for each in found:
        if isinstance(each, QuarantinedRow):
            print(each.reason, each.excerpt, each.ordinal, each.to_dict()["line"])
            continue
        assert_type(each, Explanation)
        assert_type(each.label, str | None)
        assert_type(each.probability, float | None)
        words += each.words(each.targets[0])
    return words


def by_attribute(each: Explanation | QuarantinedRow) -> str:
    """Return a text's target, or why there is none: `explained` tells them apart."""
    if each.explained:
        return each.target
    return each.reason


def read(folder: str) -> RunFindings:
    """Return the findings of a run."""
    run = Run.open(folder)
    assert_type(run.labels, tuple[str, ...])
    assert_type(list(run), list[Explanation | QuarantinedRow])
    assert_type(run.summary.accuracy, float | None)
    suspects: tuple[SuspectWords, ...] = run.findings.suspects
    print(len(run), run.explanation(0).ordinal, suspects, next(run.records())["id"])
    run.to_pandas(tokens=True)
    return run.findings


def mistaken(classifier: Classifier) -> None:
    """Make the mistakes that a type checker should find."""
    saliency_cli.load("model", dtype="int8")  # type: ignore[arg-type]
    saliency_cli.explain(classifier, [3])  # type: ignore[list-item]
    saliency_cli.explain(classifier, ["a"], method="smoothgrad")  # type: ignore[arg-type]
    saliency_cli.explain(classifier, ["a"], reduction="mean")  # type: ignore[arg-type]
    next(saliency_cli.explain(classifier, ["a"])).words()  # type: ignore[union-attr]
    print(saliency_cli.nothing)  # type: ignore[attr-defined]
