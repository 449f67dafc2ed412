"""The promises of docs/maths.md: what a score is, and what it does not depend on."""

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from captum.attr import NoiseTunnel, Saliency
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from saliency_cli.attribution.batching import Budget
from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.attribution.model_checks import check_forward, with_layer
from saliency_cli.attribution.reduction import REDUCTIONS, normalised
from saliency_cli.checkpoints import load
from saliency_cli.cli.choices import PRESETS
from saliency_cli.explanations import Explanation
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.passes import CleanPasses
from saliency_cli.records import Row
from saliency_cli.settings import Compute, ModelChoice, TargetChoice
from tests.support.attribution import clean_texts, displacements, draws_of, engine, scored
from tests.support.models import TEXTS, WORDS


def clean_text(classifier: Classifier, text: str) -> CleanPasses:
    """Return the clean pass of one text."""
    return clean_texts(classifier, [text])


def mean_gradient(run: Engine, text: str) -> Tensor:
    """Return G [L, H] of the predicted label, the mean over the draws that the method asks for."""
    clean, method = clean_text(run.classifier, text), run.maths.method
    draws = range(method.total_draws(0, converged=False))
    batch = draws_of(clean, draws, target=int(clean.logits.argmax()))
    found = method.evaluate(batch, run.classifier, objective=run.maths.objective)
    return found.values.mean(dim=0)


def embedded(classifier: Classifier, text: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Return a text's embeddings [1, L, H] and the rest of the model's inputs, without our code."""
    inputs = classifier.tokenizer(text, return_tensors="pt").to(classifier.device)
    return classifier.embedding(inputs.pop("input_ids")), dict(inputs)


def plain_gradient(classifier: Classifier, text: str) -> Tensor:
    """Return the gradient [L, H] of the predicted logit, by `inputs_embeds`."""
    embedding, inputs = embedded(classifier, text)
    leaf = embedding.detach().requires_grad_()
    logits = classifier.module(inputs_embeds=leaf, **inputs).logits
    return torch.autograd.grad(logits.max(), leaf)[0][0]


class Linear(nn.Module):
    """The logits are linear in the embeddings, so the gradient is the same everywhere."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        summed = (self.embedding(input_ids) * attention_mask[..., None]).sum(dim=1)
        return SimpleNamespace(logits=self.head(summed))


INPUTS = ("input_ids", "attention_mask")


class MeanOverPadding(Linear):
    """Not blind to padding: it takes the mean over everything, as the article's model does."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:  # noqa: ARG002
        return SimpleNamespace(logits=self.head(self.embedding(input_ids).tanh().mean(dim=1)))


def unchecked(classifier: Classifier, kind: type[Linear]) -> Classifier:
    torch.manual_seed(1)
    module = kind(len(classifier.tokenizer)).eval().requires_grad_(requires_grad=False)
    module = module.to(classifier.device)
    return replace(classifier, module=module, embedding=module.embedding, inputs=INPUTS)


def with_module(classifier: Classifier, kind: type[Linear]) -> Classifier:
    return check_forward(unchecked(classifier, kind))


# 1. No noise, or noise that must cancel, is the gradient.


@pytest.mark.parametrize("text", TEXTS)
def test_without_noise_it_is_the_plain_gradient(bert: Classifier, text: str) -> None:
    run = engine(bert, noise=0.0)
    assert torch.equal(mean_gradient(run, text), plain_gradient(bert, text))
    (outcome,) = explain([Row(0, 1, None, text)], run)
    assert isinstance(outcome, Explanation)
    assert outcome.attribution.evaluations == 3
    assert outcome.attribution.errors is None


def test_one_antithetic_pair_is_the_plain_gradient_of_a_linear_model(bert: Classifier) -> None:
    linear = with_module(bert, Linear)
    pair = mean_gradient(engine(linear, samples=2, noise=0.5), TEXTS[2])
    still = mean_gradient(engine(linear, noise=0.0), TEXTS[2])
    torch.testing.assert_close(pair, still, rtol=1e-6, atol=0)


def test_a_pair_is_the_mean_of_the_gradients_on_both_sides(bert: Classifier) -> None:
    clean = clean_text(bert, TEXTS[3])
    shift = displacements(clean, [0], noise=0.05)
    embedding, inputs = embedded(bert, TEXTS[3])
    sides = []
    for side in (embedding + shift, embedding - shift):
        leaf = side.detach().requires_grad_()
        logits = bert.module(inputs_embeds=leaf, **inputs).logits
        sides.append(torch.autograd.grad(logits[0, clean.logits.argmax()], leaf)[0][0])
    pair = mean_gradient(engine(bert, samples=2, noise=0.05), TEXTS[3])
    torch.testing.assert_close(pair, (sides[0] + sides[1]) / 2, rtol=1e-4, atol=1e-6)


# 2. Captum is the oracle.


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("samples", [1, 10])
def test_gradients_are_captums_under_the_same_noise(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch, text: str, samples: int
) -> None:
    clean = clean_text(bert, text)
    shifts = displacements(clean, range(samples), samples=samples, antithetic=False)
    monkeypatch.setattr(torch, "normal", lambda _mean, _stdev: shifts)
    embedding, inputs = embedded(bert, text)

    def forward(embeddings: Tensor) -> Tensor:
        many = {name: value.expand(len(embeddings), -1) for name, value in inputs.items()}
        return bert.module(inputs_embeds=embeddings, **many).logits  # type: ignore[no-any-return]

    expected = NoiseTunnel(Saliency(forward)).attribute(
        embedding.detach(),
        nt_samples=samples,
        stdevs=1.0,
        target=int(clean.logits.argmax()),
        abs=False,
    )
    ours = mean_gradient(engine(bert, samples=samples, antithetic=False), text)
    off = (ours - expected[0]).abs().max() / expected.abs().max()
    assert off < 1e-5


# 3. A row's scores are its own.


def bounds(reduction: str) -> float:
    """Return how far scores may move, as a share of the row's largest."""
    return 3e-3 if reduction == "sum" else 1e-5


def assert_same(ours: list[Tensor], theirs: list[Tensor], reduction: str) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).abs().max() <= bounds(reduction) * other.abs().max()


@pytest.mark.parametrize(
    ("kind", "reduction"),  # GPT-2 normalises behind every layer, so `sum` is refused there
    [("bert", "l2"), ("bert", "dot"), ("bert", "sum"), ("gpt2", "l2"), ("gpt2", "dot")],
)
@pytest.mark.parametrize("tokens", [1, 60, 400, 100_000])
def test_batch_size_changes_nothing(
    request: pytest.FixtureRequest, kind: str, reduction: str, tokens: int
) -> None:
    classifier = request.getfixturevalue(kind)
    assert classifier.padding_blind
    if reduction == "sum":
        classifier = with_layer(classifier, "bert.embeddings")
    maths: dict[str, Any] = {"samples": 8, "reduction": reduction}
    alone = [scored(engine(classifier, **maths), [text])[0] for text in TEXTS]
    together = scored(engine(classifier, tokens=tokens, **maths), TEXTS)
    assert_same(together, alone, reduction)


@given(order=st.permutations(range(len(TEXTS))), neighbours=st.integers(0, 3))
def test_order_and_neighbours_change_nothing(
    sample: Classifier, order: list[int], neighbours: int
) -> None:
    maths = engine(sample, tokens=200, samples=4)
    once = scored(maths, TEXTS)
    texts = [TEXTS[index] for index in order]
    more = ["a neighbour of some length that was not there before"] * neighbours
    shuffled = scored(maths, more + texts)[neighbours:]
    assert_same(shuffled, [once[index] for index in order], "l2")


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_the_tokenizers_padding_side_changes_nothing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str, side: str
) -> None:
    classifier = request.getfixturevalue(kind)
    alone = [scored(engine(classifier, samples=4), [text])[0] for text in TEXTS]
    monkeypatch.setattr(classifier.tokenizer, "padding_side", side)
    assert_same(scored(engine(classifier, samples=4), TEXTS), alone, "l2")


def test_a_module_that_sees_padding_is_found_and_batched_by_length(bert: Classifier) -> None:
    seeing = with_module(bert, MeanOverPadding)
    assert bert.padding_blind
    assert not seeing.padding_blind
    alone = [scored(engine(seeing, samples=4), [text])[0] for text in TEXTS]
    assert_same(scored(engine(seeing, samples=4), TEXTS), alone, "l2")
    padded = replace(engine(seeing, samples=4), budget=Budget(1024))
    with pytest.raises(AssertionError):
        assert_same(scored(padded, TEXTS), alone, "l2")


def test_noise_is_keyed_by_seed_text_and_draw(bert: Classifier) -> None:
    def shift(text: str, draw: int, seed: int) -> Tensor:
        clean = clean_text(bert, text)
        return displacements(clean, [draw], seed=seed)

    first = shift(TEXTS[0], 0, 0)
    assert torch.equal(first, shift(TEXTS[0], 0, 0))
    assert not torch.equal(first, shift(TEXTS[0], 1, 0))
    assert not torch.equal(first, shift(TEXTS[0], 0, 1))


def test_the_noise_is_a_share_of_the_texts_own_range(bert: Classifier) -> None:
    clean = clean_text(bert, TEXTS[3])
    spread = float(clean.embeddings.max() - clean.embeddings.min())
    draws = displacements(clean, range(200), noise=0.25).cpu()
    assert draws.std() == pytest.approx(0.25 * spread, rel=0.02)
    assert draws.mean() == pytest.approx(0, abs=0.01 * spread)


# 4. Scores are shares.


@given(
    text=st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join),
    reduction=st.sampled_from(["l2", "dot"]),
    samples=st.sampled_from([1, 2, 6]),
)
def test_scores_sum_to_one(bert: Classifier, text: str, reduction: str, samples: int) -> None:
    scores = scored(engine(bert, samples=samples, reduction=reduction), [text])[0]
    assert float(scores.abs().sum()) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("reduction", list(REDUCTIONS))
def test_all_zero_stays_all_zero(reduction: str) -> None:
    nothing = torch.zeros(5, 8)
    found = REDUCTIONS[reduction]
    scores = normalised(found.score(found.contribution(nothing, lambda: nothing)))
    assert torch.equal(scores, torch.zeros(5, dtype=torch.float64))


# The article, and the machine.


def article(classifier: Classifier, text: str, shifts: Tensor) -> Tensor:
    """Return the article's scores: loss.backward() per pass, hooked at the embeddings block."""
    inputs = classifier.tokenizer(text, return_tensors="pt").to(classifier.device)
    block = classifier.module.get_submodule("bert.embeddings")
    label = classifier.module(**inputs).logits.argmax(dim=-1)
    total = torch.zeros_like(shifts[0])
    for shift in shifts:
        seen: list[Tensor] = []

        def add(
            _module: nn.Module, _inputs: object, output: Tensor, shift: Tensor = shift
        ) -> Tensor:
            seen.append((output + shift).detach().requires_grad_())  # noqa: B023
            return seen[0]  # noqa: B023

        handle = block.register_forward_hook(add)
        loss = nn.functional.cross_entropy(classifier.module(**inputs).logits, label)
        handle.remove()
        loss.backward()  # type: ignore[no-untyped-call]
        assert seen[0].grad is not None
        total += seen[0].grad[0]
    summed = (total / len(shifts)).sum(dim=-1)
    return summed.abs() / summed.abs().sum()


@pytest.mark.parametrize("text", TEXTS)
def test_the_preset_is_the_articles_loop(
    bert_folder: Path, bert: Classifier, compute: Compute, text: str
) -> None:
    preset = PRESETS["allennlp"].maths
    at_block = load(ModelChoice(bert_folder, embeddings_block=True), compute, preset)
    assert at_block.embedding_name == "bert.embeddings"
    run = Engine(at_block, preset, Budget(1024))
    clean = clean_text(at_block, text)
    shifts = displacements(clean, range(10), samples=10, antithetic=False)
    expected = article(bert, text, shifts).double().cpu()
    torch.testing.assert_close(scored(run, [text])[0], expected, rtol=1e-3, atol=1e-4)


def test_the_same_scores_on_every_device(bert_folder: Path, device: str) -> None:
    there = load(ModelChoice(bert_folder), Compute(device=device))
    here = load(ModelChoice(bert_folder), Compute(device="cpu"))
    ours = scored(engine(there, samples=8), TEXTS)
    for one, other in zip(ours, scored(engine(here, samples=8), TEXTS), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_bfloat16_tells_the_same_story(
    bert_folder: Path, bert: Classifier, compute: Compute
) -> None:
    half = load(ModelChoice(bert_folder), replace(compute, dtype="bfloat16"))
    assert half.padding_blind
    ours = scored(engine(half, samples=8), TEXTS)
    for one, other in zip(ours, scored(engine(bert, samples=8), TEXTS), strict=True):
        assert float((one - other).abs().sum()) < 0.1


def test_the_read_ahead_changes_nothing(bert: Classifier) -> None:
    texts = random.Random(0).choices(TEXTS, k=25)  # noqa: S311
    run = engine(bert, samples=2)
    assert_same(scored(replace(run, read_ahead_rows=4), texts), scored(run, texts), "l2")


def test_maths_defaults_are_the_documented_ones() -> None:
    assert Maths() == Maths(
        method=SmoothGrad(samples="auto", antithetic=True, noise=0.01, seed=0),
        reduction="dot",
        propagation="conservative",
        objective="logit",
    )


def test_the_same_text_is_explained_once_for_all_rows_that_hold_it(
    bert: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    forward = bert.module.forward

    def counted(*args: object, **inputs: Tensor) -> object:
        passes.append(len(inputs["input_ids"]))
        return forward(*args, **inputs)

    monkeypatch.setattr(bert.module, "forward", counted)
    golds = [None, "ham", "spam", None]
    rows = [Row(n, n + 1, str(n), TEXTS[3], golds[n]) for n in range(4)]
    records = [outcome.record() for outcome in explain(rows, engine(bert, samples=8))]
    assert sum(passes) == 1 + 8
    assert [record["id"] for record in records] == ["0", "1", "2", "3"]
    assert [record["gold"] for record in records] == golds
    assert len({tuple(record["scores"]) for record in records}) == 1
    gold = engine(bert, samples=8, target=TargetChoice("gold"))
    targets = [outcome.record().get("target") for outcome in explain(rows, gold)]
    assert targets == [None, "ham", "spam", None]
