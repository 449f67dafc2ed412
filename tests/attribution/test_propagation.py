"""Conservative propagation under the engine: every head, target and shape of input."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.maths import Maths, MathsChoice, choose_propagation
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.checkpoints import load
from saliency_cli.cli.choices import choose_maths
from saliency_cli.errors import UsageError
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.conservative import conservative_propagation
from saliency_cli.records import Record, Row
from saliency_cli.settings import Compute, ModelChoice, TargetChoice
from tests.support.attribution import PLAIN, engine, scored
from tests.support.models import TEXTS, save_bert

LABELS = ("red", "green", "blue")
CPU = Compute(device="cpu")
LoadHead = Callable[[str], Classifier]


@pytest.fixture(scope="module")
def load_head(tmp_path_factory: pytest.TempPathFactory) -> LoadHead:
    """Return a function that loads a classifier with a head, as the command line does."""
    three = save_bert(tmp_path_factory.mktemp("three"), labels=LABELS)
    one = save_bert(tmp_path_factory.mktemp("one"), labels=("stars",))
    heads = {
        "single-label": load(ModelChoice(three), CPU),
        "multi-label": load(ModelChoice(three, multi_label=True), CPU),
        "regression": load(ModelChoice(one), CPU),
    }
    return heads.__getitem__


def explained(classifier: Classifier, *text: str, **maths: Any) -> Record:  # noqa: ANN401
    """Return the record of a text, or of a pair, without noise."""
    options = {"method": Gradient(), "reduction": "dot", "propagation": "conservative", **maths}
    row = Row(0, 1, None, text[0], pair=text[1] if len(text) > 1 else None)
    (outcome,) = explain([row], engine(classifier, **options))
    assert isinstance(outcome, Explanation), outcome
    return outcome.record()


def expected(classifier: Classifier, weights: list[float], *text: str) -> Tensor:
    """Return G·E of F = logits · weights as shares, computed with `inputs_embeds`."""
    inputs = dict(classifier.tokenizer(*text, return_tensors="pt"))
    leaf = classifier.embedding(inputs.pop("input_ids")).detach().requires_grad_()
    with conservative_propagation(classifier.module):
        logits = classifier.module(inputs_embeds=leaf, **inputs).logits[0]
    (gradient,) = torch.autograd.grad(logits @ torch.tensor(weights), leaf)
    scores: Tensor = (gradient * leaf)[0].sum(dim=-1).detach()
    return scores / scores.abs().sum()


def assert_close(scores: list[float], values: Tensor) -> None:
    torch.testing.assert_close(torch.tensor(scores), values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("head", ["single-label", "multi-label"])
def test_every_label_is_explained_by_its_own_relevance(load_head: LoadHead, head: str) -> None:
    classifier = load_head(head)
    found = explained(classifier, TEXTS[3], target=TargetChoice("all"))
    for each in (found, *found["others"]):
        weights = [float(label == each["target"]) for label in LABELS]
        assert_close(each["scores"], expected(classifier, weights, TEXTS[3]))


def test_a_contrast_is_the_relevance_of_the_difference(load_head: LoadHead) -> None:
    classifier = load_head("single-label")
    found = explained(classifier, TEXTS[3], target=TargetChoice("blue", contrast="red"))
    assert_close(found["scores"], expected(classifier, [-1.0, 0.0, 1.0], TEXTS[3]))


def test_a_regression_is_the_relevance_of_its_output(load_head: LoadHead) -> None:
    classifier = load_head("regression")
    assert_close(explained(classifier, TEXTS[3])["scores"], expected(classifier, [1.0], TEXTS[3]))


def test_a_pair_shares_one_relevance(load_head: LoadHead) -> None:
    classifier = load_head("regression")
    found = explained(classifier, TEXTS[0], TEXTS[3])
    assert found["segments"].count(1) > 1
    assert_close(found["scores"], expected(classifier, [1.0], TEXTS[0], TEXTS[3]))


def test_a_text_in_windows_has_signed_scores_that_are_shares(load_head: LoadHead) -> None:
    short = replace(load_head("single-label"), max_length=12)
    run = engine(short, method=Gradient(), reduction="dot", propagation="conservative")
    (scores,) = scored(replace(run, stride=4), [TEXTS[3]])
    assert float(scores.abs().sum()) == pytest.approx(1)
    assert bool((scores < 0).any())


@pytest.mark.parametrize("replicas", [1, 2])
def test_replicas_and_batches_change_nothing(bert: Classifier, replicas: int) -> None:
    options: dict[str, Any] = {"samples": 4, "reduction": "dot", "propagation": "conservative"}
    alone = [scored(engine(bert, **options), [text])[0] for text in TEXTS]
    together = scored(replace(engine(bert, tokens=60, **options), replicas=replicas), TEXTS)
    for one, other in zip(together, alone, strict=True):
        assert float((one - other).abs().max()) < 1e-5 * float(other.abs().max())


def test_bfloat16_gives_similar_scores_and_an_error_of_their_size(tmp_path: Path) -> None:
    folder, defaults = save_bert(tmp_path), Maths()
    half = load(ModelChoice(folder), replace(CPU, dtype="bfloat16"), defaults)
    exact = load(ModelChoice(folder), CPU, defaults)
    options: dict[str, Any] = {"reduction": "dot", "propagation": "conservative", "samples": 16}
    pairs = zip(
        scored(engine(half, **options), TEXTS), scored(engine(exact, **options), TEXTS), strict=True
    )
    assert half.dtype_error > 0
    for one, other in pairs:
        assert float((one - other).abs().sum()) < 0.1


def test_the_manifests_propagation_is_the_classifiers(bert_folder: Path) -> None:
    assert load(ModelChoice(bert_folder), CPU).propagation == "conservative"
    assert load(ModelChoice(bert_folder), CPU, PLAIN).propagation == "standard"


# The option.


class WithoutBackwardPasses(Gradient):
    """A method that has no backward passes."""

    default_propagation = None


def test_a_method_without_backward_passes_refuses_the_option() -> None:
    method: Method = WithoutBackwardPasses()
    assert choose_propagation(method, None) is None
    with pytest.raises(UsageError, match="has no --propagation"):
        choose_propagation(method, "standard")


def test_the_option_is_taken_and_the_method_has_a_default() -> None:
    assert choose_propagation(SmoothGrad(), None) == "conservative"
    assert choose_propagation(SmoothGrad(), "standard") == "standard"


def test_the_preset_has_plain_gradients_and_fixes_the_option() -> None:
    preset = choose_maths(MathsChoice(preset="allennlp"), TargetChoice(), {})
    assert preset.propagation == "standard"
    choice = MathsChoice(preset="allennlp", propagation="conservative")
    with pytest.raises(UsageError, match="fixes --propagation"):
        choose_maths(choice, TargetChoice(), {})
