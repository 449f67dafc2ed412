"""The seam of attribution methods: what a method declares is what engine and records do.

To test a new method, give it few passes in `QUICK`, and compare it with an oracle in
`test_method_oracles.py`.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import pytest

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths, MathsChoice, choose_reduction
from saliency_cli.attribution.methods import METHODS, build_method, method_parameters
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
from saliency_cli.attribution.methods.lime import Lime
from saliency_cli.attribution.methods.occlusion import Occlusion
from saliency_cli.attribution.methods.parameters import Seed
from saliency_cli.attribution.methods.perturbation import PerturbationMethod
from saliency_cli.attribution.methods.shapley import Shapley
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.attribution.reduction import is_signed
from saliency_cli.cli.choices import choose_maths
from saliency_cli.errors import UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Record, Row
from saliency_cli.settings import Option, ReductionName, TargetChoice
from tests.support.attribution import engine
from tests.support.models import TEXTS

QUICK: dict[str, dict[str, Any]] = {
    "smoothgrad": {"samples": 4},
    "integrated-gradients": {"steps": 4},
    "smoothgrad-squared": {"samples": 3},
    "vargrad": {"samples": 3},
    "lime": {"samples": 12},
    "shapley": {"samples": 4},
}
"""Parameters with which a method takes few passes."""
ALL = [build_method(name, QUICK.get(name, {})) for name in METHODS]
PERTURBING = [method for method in ALL if isinstance(method, PerturbationMethod)]
VARIANTS = [
    *ALL,
    Occlusion(baseline="delete"),
    Occlusion(units="words"),
    Shapley(samples=1, baseline="delete"),
    Lime(samples=12, units="words", baseline="pad"),
]


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


def test_a_deterministic_method_has_no_errors_no_flips_and_no_samples(bert: Classifier) -> None:
    found = record(bert, Gradient())
    assert (found["errors"], found["flip_rate"], found["samples"]) == (None, None, None)
    assert found["evaluations"] == 3


def test_a_random_method_has_them(bert: Classifier) -> None:
    found = record(bert, SmoothGrad(samples=8))
    assert (found["samples"], found["evaluations"]) == (8, 24)
    assert found["flip_rate"] is not None
    assert len(found["errors"]) == len(found["scores"])


def explained(run: Engine, texts: Sequence[str]) -> list[Record]:
    """Return the records of some texts."""
    rows = [Row(ordinal, ordinal + 1, None, text) for ordinal, text in enumerate(texts)]
    outcomes = [*explain(rows, run)]
    assert all(isinstance(outcome, Explanation) for outcome in outcomes)
    return [outcome.record() for outcome in outcomes]


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("method", VARIANTS, ids=str)
def test_batches_order_and_neighbours_change_nothing(
    request: pytest.FixtureRequest, kind: str, method: Method
) -> None:
    """Promise 3; on GPT-2 padding changes logits, so that batches hold texts of one length."""
    classifier = request.getfixturevalue(kind)
    reduction = choose_reduction(method, None)
    maths: dict[str, Any] = {"method": method, "reduction": reduction}
    maths["target"] = TargetChoice("all")
    alone = [explained(engine(classifier, **maths), [text])[0] for text in TEXTS]
    for tokens, order in ((1, 1), (60, 1), (100_000, -1)):
        run = engine(classifier, tokens=tokens, **maths)
        together = explained(run, TEXTS[::order])[::order]
        for one, other in zip(together, alone, strict=True):
            for name in ("target", "evaluations", "samples", "flip_rate"):
                assert one[name] == other[name]
            for mine, theirs in zip([one, *one["others"]], [other, *other["others"]], strict=True):
                largest = max(map(abs, theirs["scores"]))
                # The variance is a small difference of large numbers: float32 moves it by more.
                within = (1e-2 if method.name == "vargrad" else 2e-5) * largest
                assert mine["scores"] == pytest.approx(theirs["scores"], abs=within)


@pytest.mark.parametrize("method", VARIANTS, ids=str)
def test_what_a_record_holds_follows_from_the_method(bert: Classifier, method: Method) -> None:
    found = record(bert, method)
    assert (found["errors"] is None) == (
        not method.is_random or method.samples_per_draw == 1 == found["samples"]
    )
    assert (found["samples"] is None) == (not method.is_random)
    assert (found["flip_rate"] is None) == (not method.has_flip_rate)
    assert sum(map(abs, found["scores"])) == pytest.approx(1, abs=1e-5)
    assert ("completeness" in found) == method.is_complete


@pytest.mark.parametrize("method", PERTURBING, ids=str)
def test_the_targets_of_a_text_share_its_forward_passes(
    bert: Classifier, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    original = type(bert.module).forward

    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        passes.append(len(kwargs["input_ids"]))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(type(bert.module), "forward", counted)
    counts = []
    for target in ("predicted", "all"):
        passes.clear()
        run = engine(bert, method=method, reduction=None, target=TargetChoice(target))
        explained(run, TEXTS)
        counts.append(sum(passes))
    assert counts[0] == counts[1]


def test_special_tokens_and_units_of_nothing_have_no_score(bert: Classifier) -> None:
    for method in PERTURBING:
        found = record(bert, method)
        for name in ("scores", "errors"):
            if found[name] is not None:
                assert found[name][0] == found[name][-1] == 0


def test_the_scores_of_two_labels_that_differ_in_one_logit_are_opposite(bert: Classifier) -> None:
    run = engine(bert, method=Occlusion(), reduction=None, target=TargetChoice(contrast="ham"))
    (found,) = explained(run, [TEXTS[3]])
    assert found["target"] in {"spam - ham", "ham - spam"}


@pytest.mark.parametrize("steps", [64])
def test_integrated_gradients_are_complete(bert: Classifier, steps: int) -> None:
    smooth = replace(bert, module=deepcopy(bert.module))
    for weight in smooth.module.parameters():
        weight.data *= 0.3  # the fixture's large weights bend the path too much for 64 points
    smooth = replace(smooth, embedding=smooth.module.get_submodule(bert.embedding_name))
    for text in TEXTS:
        found = record(smooth, IntegratedGradients(steps=steps), text)["completeness"]
        assert abs(found["gap"]) < 0.01 * abs(found["difference"])
        assert found["gap"] == pytest.approx(found["sum"] - found["difference"], abs=1e-6)


def test_completeness_is_promised_of_autograds_gradients_only(bert: Classifier) -> None:
    run = engine(bert, method=IntegratedGradients(), reduction="dot", propagation="conservative")
    assert "completeness" not in explained(run, TEXTS[:1])[0]
    assert "completeness" not in record(bert, IntegratedGradients(), reduction="l2")


def test_long_texts_are_merged_for_a_deterministic_method(bert: Classifier) -> None:
    run = engine(bert, method=Gradient())
    rows = [Row(0, 1, None, " ".join(TEXTS * 3))]
    short = replace(run, classifier=replace(bert, max_length=16), stride=4)
    (outcome,) = explain(rows, short)
    assert isinstance(outcome, Explanation)
    found = outcome.record()
    assert found["windows"] > 1
    assert found["evaluations"] == 3 * found["windows"]
    assert found["errors"] is None


# What is declared.


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


def test_parameters_of_all_methods_are_options_once() -> None:
    assert {"samples", "noise", "steps", "baseline", "units"} <= method_parameters().keys()


def test_two_meanings_of_one_parameter_are_refused() -> None:
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


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("integrated-gradients", {"baseline": "delete"}, "no --baseline delete"),
        ("occlusion", {"baseline": "zero"}, "no --baseline zero"),
        ("shapley", {"samples": 3}, "--samples 3 is odd"),
        ("lime", {"samples": 1}, "--samples must be at least 2"),
        ("vargrad", {"noise": 0.0}, "needs --noise above 0"),
        ("smoothgrad-squared", {"tolerance": 0.0}, "--tolerance must be above 0"),
        ("random", {"noise": 0.1}, "--method random has no --noise"),
        ("occlusion", {"steps": 3}, "--method occlusion has no --steps"),
    ],
)
def test_a_value_that_does_not_fit_the_method_is_refused(
    name: str, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_method(name, given)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (MathsChoice(method="occlusion", reduction="dot"), "--method occlusion has no --reduction"),
        (MathsChoice(method="lime", propagation="standard"), "has no --propagation"),
        (MathsChoice(method="random", objective="loss"), "--method random has no --objective"),
        (MathsChoice(preset="allennlp-gradient", objective="logit"), "fixes --objective"),
    ],
)
def test_an_option_that_the_method_has_no_use_for_is_refused(
    choice: MathsChoice, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        choose_maths(choice, TargetChoice(), {})
    with pytest.raises(UsageError, match="fixes --seed"):
        choose_maths(MathsChoice(preset="allennlp-gradient"), TargetChoice(), {"seed": 1})
