"""Each method against code that nobody here wrote: Captum's, with the same noise, orders, masks."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from captum import attr
from captum._utils.models.model import Model
from torch import Tensor

from saliency_cli.attribution.engine import explain
from saliency_cli.attribution.maths import choose_propagation, choose_reduction
from saliency_cli.attribution.methods.allennlp_integrated import AllenNlpIntegrated
from saliency_cli.attribution.methods.attention import Attention
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.gradient import Gradient
from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
from saliency_cli.attribution.methods.lime import RIDGE, SHARPNESS, Lime
from saliency_cli.attribution.methods.occlusion import Occlusion
from saliency_cli.attribution.methods.shapley import Shapley
from saliency_cli.attribution.methods.smoothgrad_squared import SmoothGradSquared
from saliency_cli.attribution.methods.vargrad import VarGrad
from saliency_cli.attribution.rounds import prepared_passes
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import CleanPasses
from saliency_cli.model.tokenization import encode
from saliency_cli.records import Record, Row
from tests.support.attribution import clean_texts, draws_of, engine
from tests.support.models import TEXTS


@dataclass(frozen=True)
class TextModel:
    """A BERT as a function of its word embeddings or token ids, for one text."""

    classifier: Classifier
    text: str

    @property
    def inputs(self) -> dict[str, Tensor]:
        return dict(self.classifier.tokenizer(self.text, return_tensors="pt"))

    @property
    def ids(self) -> Tensor:
        return self.inputs["input_ids"]

    @property
    def baseline_ids(self) -> Tensor:
        """Padding in place of the text's tokens: the tokenizer has no mask token."""
        ids = self.ids.clone()
        ids[0, 1:-1] = self.classifier.pad_id
        return ids

    @property
    def target(self) -> int:
        return int(self.of_ids(self.ids).argmax())

    def embeddings(self, ids: Tensor) -> Tensor:
        layer = self.classifier.module.get_input_embeddings()  # type: ignore[operator]
        found: Tensor = layer(ids).detach().requires_grad_()
        return found

    def of_ids(self, ids: Tensor) -> Tensor:
        mask = torch.ones_like(ids)
        return self.classifier.module(input_ids=ids, attention_mask=mask).logits  # type: ignore[no-any-return]

    def of_embeddings(self, embeddings: Tensor) -> Tensor:
        return self.classifier.module(inputs_embeds=embeddings).logits  # type: ignore[no-any-return]


def record(classifier: Classifier, method: Method, text: str, **maths: Any) -> Record:  # noqa: ANN401
    """Explain one text with plain gradients."""
    maths.setdefault("reduction", choose_reduction(method, None))
    maths.setdefault("propagation", choose_propagation(method, None) and "standard")
    (outcome,) = explain([Row(0, 1, None, text)], engine(classifier, method=method, **maths))
    assert isinstance(outcome, Explanation), outcome
    return outcome.record()


def assert_scores(found: Record, expected: Tensor) -> None:
    """Check scores against raw scores [L] of somebody else, up to the normalisation."""
    scores = torch.tensor(found["scores"], dtype=torch.float64)
    expected = expected.detach().double()
    expected /= expected.abs().sum()
    assert (scores - expected).abs().max() < 1e-5 * float(scores.abs().max())


@pytest.fixture(params=TEXTS)
def model(request: pytest.FixtureRequest, bert: Classifier) -> TextModel:
    return TextModel(bert, request.param)


def test_gradient_is_saliency(model: TextModel) -> None:
    found = attr.Saliency(model.of_embeddings).attribute(
        model.embeddings(model.ids), target=model.target, abs=False
    )[0]
    assert_scores(
        record(model.classifier, Gradient(), model.text, reduction="l2"), found.norm(dim=-1)
    )


def test_gradient_with_dot_is_input_x_gradient(model: TextModel) -> None:
    found = attr.InputXGradient(model.of_embeddings).attribute(
        model.embeddings(model.ids), target=model.target
    )[0]
    assert_scores(record(model.classifier, Gradient(), model.text), found.sum(dim=-1))


@pytest.mark.parametrize("baseline", ["mask", "pad", "zero"])
def test_integrated_gradients(model: TextModel, baseline: Any) -> None:  # noqa: ANN401
    start = model.embeddings(model.baseline_ids)
    if baseline == "zero":
        start = model.embeddings(model.ids).detach().clone()
        start[:, 1:-1] = 0
    found = attr.IntegratedGradients(model.of_embeddings).attribute(
        model.embeddings(model.ids),
        baselines=start,
        target=model.target,
        n_steps=20,
        method="riemann_middle",
    )[0]
    method = IntegratedGradients(baseline=baseline)
    ours = record(model.classifier, method, model.text)
    assert_scores(ours, found.sum(dim=-1))
    assert (ours["errors"], ours["evaluations"]) == (None, 60)
    assert ours["scores"][0] == ours["scores"][-1] == 0  # special tokens keep their embeddings
    logits = [model.of_embeddings(each)[0] for each in (model.embeddings(model.ids), start)]
    difference = (logits[0] - logits[1])[model.target].item()
    assert ours["completeness"]["difference"] == pytest.approx(difference, rel=1e-4)
    assert ours["completeness"]["sum"] == pytest.approx(found.sum().item(), rel=1e-4)


@pytest.mark.parametrize(
    ("method", "kind"),
    [(SmoothGradSquared(samples=6), "smoothgrad_sq"), (VarGrad(samples=6, noise=0.3), "vargrad")],
)
def test_squares_are_noise_tunnels(
    model: TextModel, method: SmoothGradSquared, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = clean_texts(model.classifier, [model.text])
    noise = method.displacements(draws_of(clean, range(6)))
    # NoiseTunnel draws its noise by torch.normal.
    monkeypatch.setattr(torch, "normal", lambda _mean, _stdev: noise)
    found = attr.NoiseTunnel(attr.Saliency(model.of_embeddings)).attribute(
        model.embeddings(model.ids).detach(),
        nt_type=kind,
        nt_samples=6,
        stdevs=1.0,
        target=model.target,
        abs=False,
    )[0]
    monkeypatch.undo()
    # With little noise, Captum's float32 has few digits left of the difference of two squares.
    assert_scores(record(model.classifier, method, model.text), found.sum(dim=-1))


def test_occlusion_is_feature_ablation(model: TextModel) -> None:
    found = attr.FeatureAblation(model.of_ids).attribute(
        model.ids, baselines=model.baseline_ids, target=model.target
    )[0]
    ours = record(model.classifier, Occlusion(), model.text)
    assert_scores(ours, found)
    assert ours["evaluations"] == len(ours["tokens"]) - 2


def test_occlusion_of_words_is_feature_ablation_of_groups(bert: Classifier) -> None:
    model = TextModel(bert, "call xyz now")  # xyz is three tokens
    groups = torch.tensor([[0, 1, 2, 2, 2, 3, 4]])
    found = attr.FeatureAblation(model.of_ids).attribute(
        model.ids, baselines=model.baseline_ids, target=model.target, feature_mask=groups
    )[0]
    ours = record(bert, Occlusion(units="words"), model.text)
    assert_scores(ours, found / torch.tensor([1, 1, 3, 3, 3, 1, 1]))
    assert ours["evaluations"] == 3


def prepared(model: TextModel, method: Method) -> CleanPasses:
    """Return the clean pass of a text with what a method needs beside it."""
    (encoding,) = encode(model.classifier.tokenizer, [model.text], max_length=64)
    row = Row(0, 1, None, model.text)
    return prepared_passes(model.classifier, method, [(row, encoding)])


def orders(model: TextModel, method: Shapley) -> list[Tensor]:
    """Return the orders of the text's tokens that the method draws."""
    row, encoding = (
        Row(0, 1, None, model.text),
        encode(model.classifier.tokenizer, [model.text], max_length=64)[0],
    )
    clean = prepared_passes(model.classifier, method, [(row, encoding)])
    found = []
    for draw in range(method.total_draws(0, converged=False)):
        ranks = draws_of(clean, [draw]).ranks_of_units(seed=method.seed)[0, 1:-1]
        order = ranks.argsort() + 1
        found += [order, order.flip(0)]
    return found


def test_shapley_is_shapley_value_sampling(model: TextModel) -> None:
    method = Shapley(samples=4)
    drawn = orders(model, method)
    captum = attr.ShapleyValueSampling(model.of_ids)

    def generator(_features: int, _samples: int) -> Iterator[tuple[int, ...]]:
        for order in drawn:
            yield (0, *order.tolist(), int(order.max()) + 1)

    captum.permutation_generator = generator
    found = captum.attribute(
        model.ids, baselines=model.baseline_ids, target=model.target, n_samples=4
    )[0]
    ours = record(model.classifier, method, model.text)
    assert_scores(ours, found)
    assert ours["flip_rate"] is None
    assert ours["samples"] == 4
    assert abs(ours["completeness"]["gap"]) < 1e-5 * abs(ours["completeness"]["difference"]) + 1e-6
    assert ours["completeness"]["difference"] == pytest.approx(float(found.sum()), rel=1e-4)


class Ridge(Model):  # type: ignore[misc]
    """A ridge regression with an intercept that is not penalised, as scikit-learn's."""

    def fit(self, train_data: Any, **_kwargs: Any) -> dict[str, Any]:  # noqa: ANN401
        x, y, w = (torch.cat(each).double() for each in zip(*train_data, strict=True))
        mean_x, mean_y = (w @ x) / w.sum(), (w @ y) / w.sum()
        x, y = x - mean_x, y - mean_y
        matrix = (w[:, None] * x).T @ x + RIDGE * torch.eye(x.shape[1])
        self.coefficients = torch.linalg.solve(matrix, (w[:, None] * x).T @ y)
        return {}

    def representation(self) -> Tensor:
        found: Tensor = self.coefficients[None].float()
        return found

    def __call__(self, x: Tensor) -> Tensor:
        found: Tensor = x @ self.coefficients
        return found


@pytest.mark.parametrize("units", ["tokens", "words"])
def test_lime_is_lime_base(bert: Classifier, units: Any) -> None:  # noqa: ANN401
    model, method = (
        TextModel(bert, "call xyz, when the heart is late"),
        Lime(samples=30, units=units),
    )
    row, encoding = (
        Row(0, 1, None, model.text),
        encode(bert.tokenizer, [model.text], max_length=64)[0],
    )
    clean = prepared_passes(bert, method, [(row, encoding)])
    batch = draws_of(clean, range(30))
    number, present = batch.units()[0], method.present(batch)
    firsts = [(number == unit).nonzero()[0, 0] for unit in range(int(number.max()) + 1)]
    masks = present[:, firsts]
    drawn = iter(masks.long())

    def to_text(features: Tensor, _original: Tensor, **_kwargs: Any) -> Tensor:  # noqa: ANN401
        kept = torch.cat((features[0], torch.tensor([1])))[number].bool()  # −1 reads the last
        return model.ids.where(kept[None], model.baseline_ids)

    def similarity(*args: Any, **_kwargs: Any) -> Tensor:  # noqa: ANN401
        share = args[2].double().mean()
        weight: Tensor = (-SHARPNESS * (1 - share.sqrt()) ** 2).exp()
        return weight

    lime = attr.LimeBase(
        model.of_ids,
        interpretable_model=Ridge(),
        similarity_func=similarity,
        perturb_func=lambda *_args, **_kwargs: next(drawn)[None],
        perturb_interpretable_space=True,
        from_interp_rep_transform=to_text,
        to_interp_rep_transform=None,
    )
    found = lime.attribute(model.ids, target=model.target, n_samples=30)[0]
    sizes = torch.bincount(number[number >= 0])
    per_token = torch.where(number >= 0, found[number] / sizes[number], 0)
    ours = record(bert, method, model.text)
    assert_scores(ours, per_token)
    assert masks[0].all()
    assert (ours["samples"], ours["evaluations"], ours["flip_rate"]) == (30, 30, None)


@pytest.mark.parametrize("variant", ["last-layer", "rollout"])
def test_attention_is_transformers_own(model: TextModel, variant: Any) -> None:  # noqa: ANN401
    eager = deepcopy(model.classifier.module)
    eager.set_attn_implementation("eager")  # type: ignore[operator]
    layers = eager(input_ids=model.ids, output_attentions=True).attentions
    expected = layers[-1][0].mean(dim=0)[0]
    if variant == "rollout":
        product = torch.eye(model.ids.shape[1])
        for layer in layers:
            product = (layer[0].mean(dim=0) + torch.eye(len(product))) / 2 @ product
        expected = product[0]
    found = record(model.classifier, Attention(variant=variant), model.text)
    assert_scores(found, expected)
    assert (found["errors"], found["evaluations"]) == (None, 1)


# AllenNLP Interpret's other two methods, transcribed from their formulae.


def allennlp_gradient(model: TextModel, embeddings: Tensor) -> Tensor:
    """Return the gradient of the cross-entropy of the predicted label at some embeddings."""
    embeddings = embeddings.detach().requires_grad_()
    loss = torch.nn.functional.cross_entropy(
        model.of_embeddings(embeddings), torch.tensor([model.target])
    )
    return torch.autograd.grad(loss, embeddings)[0]


def allennlp_simple(model: TextModel) -> Tensor:
    embeddings = model.embeddings(model.ids)
    return (allennlp_gradient(model, embeddings) * embeddings).sum(dim=-1)[0].abs()


def allennlp_integrated(model: TextModel) -> Tensor:
    embeddings = model.embeddings(model.ids)
    total = torch.zeros_like(embeddings)
    for alpha in torch.linspace(0, 1, 11)[:-1]:
        total += allennlp_gradient(model, alpha * embeddings)
    return (total / 10 * embeddings).sum(dim=-1)[0].abs()


@pytest.mark.parametrize(
    ("method", "formula"),
    [(Gradient(), allennlp_simple), (AllenNlpIntegrated(), allennlp_integrated)],
)
def test_the_presets_are_allennlps_formulae(
    model: TextModel, method: Method, formula: Callable[[TextModel], Tensor]
) -> None:
    found = record(model.classifier, method, model.text, reduction="abs-dot", objective="loss")
    assert_scores(found, formula(model))


def test_a_probability_is_explained(model: TextModel) -> None:
    embeddings = model.embeddings(model.ids)
    probability = model.of_embeddings(embeddings).softmax(dim=-1)[0, model.target]
    (gradient,) = torch.autograd.grad(probability, embeddings)
    found = record(model.classifier, Gradient(), model.text, objective="probability")
    assert_scores(found, (gradient * embeddings).sum(dim=-1)[0])
