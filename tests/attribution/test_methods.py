"""The seam of attribution methods: what a method declares is what engine and records do.

To test a new method, copy the tests of `Gradient`: against an oracle, then what its records hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import pytest
import torch
from captum.attr import IntegratedGradients, Saliency
from torch import Tensor

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.maths import Maths, choose_reduction
from saliency_cli.attribution.methods import METHODS, build_method, method_parameters
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.gradient_based import GradientMethod
from saliency_cli.attribution.methods.parameters import Baseline, Seed
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.attribution.reduction import is_signed
from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Explanation, Record, Row
from saliency_cli.settings import BaselineName, Option, ReductionName
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS

if TYPE_CHECKING:
    from saliency_cli.attribution.draw_batch import DrawBatch


@dataclass(frozen=True, slots=True)
class PathMethod(GradientMethod):
    """Integrated gradients by the midpoint rule, as a user of the seam would write it."""

    name: ClassVar[str] = "path"
    title: ClassVar[str] = "a path from the baseline"
    default_reduction: ClassVar[ReductionName] = "dot"

    steps: Annotated[int, Option("Points of the path.", minimum=1)] = 20
    baseline: Baseline = "mask"

    @property
    def baseline_name(self) -> BaselineName:
        return self.baseline

    def total_draws(self, made: int, *, converged: bool) -> int:  # noqa: ARG002
        return self.steps

    def displacements(self, batch: "DrawBatch") -> Tensor:
        along = (batch.draw_numbers() + 0.5) / self.steps - 1
        return along[:, None, None] * (batch.embeddings() - batch.baselines())


def record(
    classifier: Classifier,
    method: Method,
    text: str = TEXTS[3],
    *,
    reduction: ReductionName | None = None,
) -> Record:
    """Explain one text with a reduction, by default the method's own."""
    reduction = choose_reduction(method, reduction)
    run = engine(classifier, method=method, reduction=reduction)
    (outcome,) = explain([Row(0, 1, None, text)], run)
    assert isinstance(outcome, Explanation), outcome
    return outcome.record()


def embeddings(classifier: Classifier, ids: Tensor) -> Tensor:
    return classifier.module.get_input_embeddings()(ids).detach().requires_grad_()  # type: ignore[operator, no-any-return]


@pytest.mark.parametrize("text", TEXTS)
def test_the_gradient_is_captums_saliency(bert: Classifier, text: str) -> None:
    inputs = dict(bert.tokenizer(text, return_tensors="pt"))
    ids = inputs.pop("input_ids")
    forward = lambda e: bert.module(inputs_embeds=e, **inputs).logits  # noqa: E731
    target = int(bert.module(input_ids=ids, **inputs).logits.argmax())
    found = Saliency(forward).attribute(embeddings(bert, ids), target=target, abs=False)[0]
    expected = found.norm(dim=-1).double()
    scores = torch.tensor(
        record(bert, Gradient(), text, reduction="l2")["scores"], dtype=torch.float64
    )
    assert (scores - expected / expected.sum()).abs().max() < 1e-5 * float(scores.max())


def test_a_deterministic_method_has_no_errors_no_flips_and_no_samples(bert: Classifier) -> None:
    found = record(bert, Gradient())
    assert (found["errors"], found["flip_rate"], found["samples"]) == (None, None, None)
    assert found["evaluations"] == 3


def test_a_random_method_has_them(bert: Classifier) -> None:
    found = record(bert, SmoothGrad(samples=8))
    assert (found["samples"], found["evaluations"]) == (8, 24)
    assert found["flip_rate"] is not None
    assert len(found["errors"]) == len(found["scores"])


@pytest.mark.parametrize("text", TEXTS)
def test_a_path_method_with_a_mask_baseline_is_captums(bert: Classifier, text: str) -> None:
    mask = bert.tokenizer.unk_token_id
    bert.tokenizer.mask_token = bert.tokenizer.unk_token
    try:
        inputs = dict(bert.tokenizer(text, return_tensors="pt"))
        ids = inputs.pop("input_ids")
        baseline = ids.clone()
        baseline[0, 1:-1] = mask
        forward = lambda e: bert.module(inputs_embeds=e, **inputs).logits  # noqa: E731
        target = int(bert.module(input_ids=ids, **inputs).logits.argmax())
        expected = (
            IntegratedGradients(forward)
            .attribute(
                embeddings(bert, ids),
                baselines=embeddings(bert, baseline),
                target=target,
                n_steps=20,
                method="riemann_middle",
            )[0]
            .sum(dim=-1)
            .double()
        )
        found = record(bert, PathMethod(), text)
    finally:
        bert.tokenizer.mask_token = None
    scores = torch.tensor(found["scores"], dtype=torch.float64)
    difference = (scores - expected / expected.abs().sum()).abs().max()
    assert difference < 1e-5 * float(scores.abs().max())
    assert (found["errors"], found["evaluations"]) == (None, 60)
    assert scores[0] == scores[-1] == 0  # special tokens keep their own embeddings


@pytest.mark.parametrize("method", [Gradient(), PathMethod(), SmoothGrad(samples=4)])
@pytest.mark.parametrize("tokens", [1, 60, 100_000])
def test_batches_change_nothing(bert: Classifier, method: Method, tokens: int) -> None:
    reduction = choose_reduction(method, None)
    alone = [scored(engine(bert, method=method, reduction=reduction), [text])[0] for text in TEXTS]
    together = scored(engine(bert, method=method, reduction=reduction, tokens=tokens), TEXTS)
    for one, other in zip(together, alone, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def test_long_texts_are_merged_for_a_deterministic_method(bert: Classifier) -> None:
    run = engine(bert, method=Gradient())
    rows = [Row(0, 1, None, " ".join(TEXTS * 3))]
    from dataclasses import replace  # noqa: PLC0415

    short = replace(run, classifier=replace(bert, max_length=16), stride=4)
    (outcome,) = explain(rows, short)
    assert isinstance(outcome, Explanation)
    found = outcome.record()
    assert found["windows"] > 1
    assert found["evaluations"] == 3 * found["windows"]
    assert found["errors"] is None


# What is declared.


@pytest.fixture
def registered() -> Iterator[None]:
    METHODS[PathMethod.name] = PathMethod
    yield
    del METHODS[PathMethod.name]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_known_by_its_name_and_has_defaults(name: str) -> None:
    method = build_method(name, {})
    assert method.name == name
    assert method.title
    assert choose_reduction(method, None) == method.default_reduction


def test_a_parameter_that_the_method_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="--method gradient has no --samples") as caught:
        build_method("gradient", {"samples": 4, "noise": None})
    assert caught.value.hint is not None
    assert "smoothgrad" in caught.value.hint


def test_parameters_of_all_methods_are_options_once(registered: None) -> None:  # noqa: ARG001
    assert {"samples", "noise", "seed", "steps", "baseline"} <= method_parameters().keys()


def test_two_meanings_of_one_parameter_are_refused(registered: None) -> None:  # noqa: ARG001
    @dataclass(frozen=True, slots=True)
    class Other(Gradient):
        name: ClassVar[str] = "other"
        steps: Annotated[int, Option("Something else.")] = 3
        seed: Seed = 0

    METHODS["other"] = Other
    try:
        with pytest.raises(TypeError, match="steps"):
            method_parameters()
    finally:
        del METHODS["other"]


def test_the_sign_is_decided_by_the_reduction() -> None:
    assert is_signed(Maths(reduction="dot"))
    assert not is_signed(Maths(reduction="l2"))


def test_without_noise_nothing_is_random() -> None:
    assert not SmoothGrad(noise=0).is_random
    assert SmoothGrad(noise=0).total_draws(0, converged=False) == 1
