"""Every architecture of docs/architectures.md keeps the promises of the design."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saliency_cli.attribution.maths import Maths, choose_reduction
from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
from saliency_cli.attribution.model_checks import check_reduction, embeddings_block, with_layer
from saliency_cli.attribution.propagation_check import with_propagation
from saliency_cli.checkpoints import load
from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import Target, Targets
from saliency_cli.model.passes import (
    clean_passes,
    differentiable_logits,
    gradient_passes,
    token_batch,
)
from saliency_cli.model.tokenization import encode
from saliency_cli.settings import Compute, ModelChoice, PropagationName
from tests.attribution.test_methods import ALL
from tests.support.architectures import ARCHITECTURES, save_architecture
from tests.support.attribution import PLAIN, clean_texts, engine, scored
from tests.support.models import TEXTS
from tests.support.paths import ROOT

NORM_AFTER_EMBEDDING = {"DeBERTa", "DeBERTa-v2/v3", "ModernBERT", "ModernBERT, mean"}
"""A LayerNorm follows their token embedding, so the logits do not depend on its length."""
SHARED_EMBEDDING = {"T5": ("encoder", "decoder"), "BART": ("encoder", "decoder")}
WITHOUT_INPUTS_EMBEDS = {*SHARED_EMBEDDING, "T5, ReLU"}
LoadByName = Callable[[str], Classifier]


@pytest.fixture(scope="session")
def load_model(tmp_path_factory: pytest.TempPathFactory, compute: Compute) -> LoadByName:
    """Return a function that returns the classifier of an architecture, loaded once."""
    cache: dict[str, Classifier] = {}

    def get(name: str) -> Classifier:
        if name not in cache:
            folder = save_architecture(name, tmp_path_factory.mktemp("architecture"))
            cache[name] = load(ModelChoice(folder), compute, PLAIN)
            assert cache[name].deterministic
        return cache[name]

    return get


def assert_same(actual: list[Tensor], expected: list[Tensor], bound: float = 1e-5) -> None:
    """Fail if a value differs by more than `bound` times the largest of its tensor."""
    for one, other in zip(actual, expected, strict=True):
        assert other.abs().max() > 0
        assert (one - other).abs().max() <= bound * other.abs().max()


@pytest.mark.parametrize(
    ("reduction", "propagation"),
    [("l2", "standard"), ("dot", "standard"), ("dot", "conservative")],
)
@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"T5, ReLU"}))
def test_a_rows_scores_do_not_depend_on_other_rows(
    monkeypatch: pytest.MonkeyPatch,
    load_model: LoadByName,
    name: str,
    reduction: str,
    propagation: PropagationName,
) -> None:
    classifier = load_model(name)
    if (reduction, propagation) == ("dot", "standard") and name in NORM_AFTER_EMBEDDING:
        classifier = with_layer(classifier, str(embeddings_block(classifier)))
    assert_independent_of_batch(monkeypatch, classifier, reduction, propagation)


def assert_independent_of_batch(
    monkeypatch: pytest.MonkeyPatch,
    classifier: Classifier,
    reduction: str,
    propagation: PropagationName = "standard",
) -> None:
    options: dict[str, Any] = {"samples": 4, "reduction": reduction, "propagation": propagation}
    alone = [scored(engine(classifier, **options), [text])[0] for text in TEXTS]
    for side in ("left", "right"):
        monkeypatch.setattr(classifier.tokenizer, "padding_side", side)
        assert_same(scored(engine(classifier, **options), TEXTS), alone)
    backwards = scored(engine(classifier, tokens=60, **options), TEXTS[::-1])
    assert_same(backwards[::-1], alone)


def test_a_relu_is_unstable_in_float32_only(
    monkeypatch: pytest.MonkeyPatch, compute: Compute, tmp_path: Path
) -> None:
    # One unit in thousands has an input within rounding of 0, where its gradient is either 0 or 1.
    # In float64 the batch does not change any input by enough.
    folder = save_architecture("T5, ReLU", tmp_path)
    classifier = load(ModelChoice(folder), compute)
    double = replace(classifier, module=classifier.module.double(), matmul_backend="torch")
    assert_independent_of_batch(monkeypatch, double, "l2")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_probe_finds_whether_padding_changes_logits(load_model: LoadByName, name: str) -> None:
    assert load_model(name).padding_blind == ARCHITECTURES[name].padding_blind


@pytest.mark.parametrize("name", ["T5", "XLNet", "DeBERTa-v2/v3"])
def test_scores_do_not_depend_on_the_number_of_streams(load_model: LoadByName, name: str) -> None:
    run = engine(load_model(name), samples=4)
    assert_same(scored(replace(run, replicas=2), TEXTS), scored(run, TEXTS))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_text_of_the_maximum_length_is_accepted(load_model: LoadByName, name: str) -> None:
    classifier = load_model(name)
    (encoding,) = encode(classifier.tokenizer, ["home is " * 200], max_length=classifier.max_length)
    assert encoding.truncated
    assert len(encoding) == classifier.max_length
    clean = clean_passes(classifier, token_batch([encoding], classifier))
    assert bool(clean.logits.isfinite().all())


@pytest.mark.parametrize("name", ["T5", "ModernBERT"])
def test_bfloat16_gives_similar_scores(
    load_model: LoadByName, compute: Compute, tmp_path: Path, name: str
) -> None:
    folder = save_architecture(name, tmp_path)
    half = load(ModelChoice(folder), replace(compute, dtype="bfloat16"))
    exact = scored(engine(load_model(name), samples=4), TEXTS)
    for one, other in zip(scored(engine(half, samples=4), TEXTS), exact, strict=True):
        assert float((one - other).abs().sum()) < 0.2


# The gradient is the one that plain autograd gives.


def engine_gradient(classifier: Classifier, text: str, shift: Tensor | None = None) -> Tensor:
    """Return the engine's gradient [L, H] of one pass with noise `shift` [1, L, H]."""
    clean = clean_texts(classifier, [text])
    target = Target("predicted", int(clean.logits.argmax()))
    gradients = gradient_passes(
        classifier,
        clean.tokens,
        torch.zeros_like(clean.embeddings) if shift is None else shift,
        targets=Targets.of([target]),
        objective="logit",
    )
    return gradients.values[0]


def inputs_of(classifier: Classifier, text: str) -> dict[str, Tensor]:
    return dict(classifier.tokenizer(text, return_tensors="pt").to(classifier.device))


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - WITHOUT_INPUTS_EMBEDS))
def test_without_noise_the_result_is_the_plain_gradient(load_model: LoadByName, name: str) -> None:
    classifier = load_model(name)
    inputs = inputs_of(classifier, TEXTS[3])
    leaf = classifier.embedding(inputs.pop("input_ids")).detach().requires_grad_()
    logits = classifier.module(inputs_embeds=leaf, **inputs).logits
    expected = torch.autograd.grad(logits.max(), leaf)[0][0]
    assert_same([engine_gradient(classifier, TEXTS[3])], [expected])


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", SHARED_EMBEDDING)
def test_the_gradient_sums_both_uses_of_a_shared_embedding(
    load_model: LoadByName, name: str, noise: float
) -> None:
    classifier = load_model(name)
    inputs = inputs_of(classifier, TEXTS[3])
    target = int(classifier.module(**inputs).logits.argmax())
    shape = classifier.embedding(inputs["input_ids"]).shape
    shift = noise * torch.randn(shape, generator=torch.Generator().manual_seed(3))
    shift = shift.to(classifier.device)
    decoder_shift = torch.cat((torch.zeros_like(shift[:, :1]), shift[:, :-1]), dim=1)
    outputs: list[Tensor] = []

    def displace(layer: nn.Module, by: Tensor) -> Any:  # noqa: ANN401
        def add(_layer: nn.Module, _args: object, output: Tensor) -> Tensor:
            outputs.append((output + by).detach().requires_grad_())
            return outputs[-1]

        return layer.register_forward_hook(add)

    encoder, decoder = (token_embedding(classifier, side) for side in SHARED_EMBEDDING[name])
    handles = [displace(encoder, shift), displace(decoder, decoder_shift)]
    logits = classifier.module(**inputs).logits
    for handle in handles:
        handle.remove()
    in_encoder, in_decoder = torch.autograd.grad(logits[0, target], outputs)
    expected = in_encoder[0].clone()
    expected[:-1] += in_decoder[0, 1:]
    assert float(in_decoder[0, 1:].abs().max()) > 0.01 * float(in_encoder.abs().max())
    assert_same([engine_gradient(classifier, TEXTS[3], shift)], [expected])


def token_embedding(classifier: Classifier, side: str) -> nn.Module:
    """Return the token embedding of one side, "encoder" or "decoder"."""
    names = [name for name, _ in classifier.module.named_modules()]
    (name,) = (name for name in names if name.endswith(f"{side}.embed_tokens"))
    return classifier.module.get_submodule(name)


# Options that an architecture refuses or allows.


@pytest.mark.parametrize("name", sorted(NORM_AFTER_EMBEDDING))
def test_dot_is_refused_if_a_norm_follows_the_embedding(load_model: LoadByName, name: str) -> None:
    classifier = load_model(name)
    block = str(embeddings_block(classifier))
    with pytest.raises(UsageError, match="--reduction dot is nothing but rounding") as caught:
        check_reduction(classifier, Maths(reduction="dot"))
    assert f"--embedding-layer {block}" in str(caught.value.hint)
    check_reduction(with_layer(classifier, block), Maths(reduction="dot"))
    check_reduction(classifier, Maths(reduction="l2"))


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - NORM_AFTER_EMBEDDING))
def test_dot_is_allowed_for_other_architectures(load_model: LoadByName, name: str) -> None:
    check_reduction(load_model(name), Maths(reduction="dot"))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_conservative_propagation_has_its_rules(load_model: LoadByName, name: str) -> None:
    classifier = load_model(name)
    ruled = with_propagation(classifier, "conservative")
    assert (ruled.propagation, ruled.without_rule) == ("conservative", ())
    encodings = encode(classifier.tokenizer, TEXTS[3:4], max_length=classifier.max_length)
    plain, conservative = (differentiable_logits(each, encodings) for each in (classifier, ruled))
    assert torch.equal(plain, conservative)
    check_reduction(ruled, Maths(reduction="dot"))


@pytest.mark.parametrize("name", ["GPT-2, no padding", "Llama", "GPT-2, padding of the tokenizer"])
def test_a_model_saved_without_padding_predicts_the_same_in_a_batch(
    load_model: LoadByName, name: str
) -> None:
    classifier = load_model(name)
    encodings = encode(classifier.tokenizer, TEXTS[:2], max_length=64)
    if not classifier.padding_blind:
        encodings = encodings[:1] * 2
    together = clean_passes(classifier, token_batch(encodings, classifier)).logits
    classifier.module.config.pad_token_id, pad = None, classifier.module.config.pad_token_id  # type: ignore[union-attr]
    for logits, encoding in zip(together, encodings, strict=True):
        ids = torch.tensor([encoding.ids], device=classifier.device)
        alone = classifier.module(input_ids=ids).logits[0].cpu()
        torch.testing.assert_close(logits, alone, rtol=1e-4, atol=1e-5)
    classifier.module.config.pad_token_id = pad  # type: ignore[union-attr]


def test_the_docs_list_every_architecture() -> None:
    page = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    documented = {row[0]: (row[1], row[2]) for row in rows}
    for name, architecture in ARCHITECTURES.items():
        batched = "padded" if architecture.padding_blind else "by equal length"
        assert documented[name] == (architecture.tokenizer, batched)
    assert Path(__file__).name in page


@pytest.mark.parametrize("name", sorted(NORM_AFTER_EMBEDDING))
def test_dot_with_a_baseline_is_allowed_there(load_model: LoadByName, name: str) -> None:
    """The gradient is perpendicular to E, but not to E − B."""
    check_reduction(load_model(name), Maths(method=IntegratedGradients(), reduction="dot"))


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_every_method_gives_a_text_the_same_scores_in_any_batch(
    load_model: LoadByName, name: str
) -> None:
    classifier = load_model(name)
    for method in ALL:
        if method.name == "attention" and name == "XLNet":  # it returns copies of its weights
            with pytest.raises(UsageError, match="gives no attention weights"):
                method.check(classifier)
            continue
        reduction = choose_reduction(method, None) and "l2"  # `dot` is rounding on some of them
        run = partial(engine, classifier, method=method, reduction=reduction)
        alone = [scored(run(), [text])[0] for text in TEXTS[::2]]
        together = scored(run(tokens=10_000), TEXTS[::2])
        # Of VarGrad the small difference of large numbers has fewer digits.
        assert_same(together, alone, 1e-2 if method.name == "vargrad" else 2e-5)
