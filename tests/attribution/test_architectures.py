"""Every architecture that docs/architectures.md names: the promises hold for each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from saliency_cli.attribution.maths import Maths
from saliency_cli.attribution.model_checks import check_reduction, embeddings_block, with_layer
from saliency_cli.checkpoints import load
from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.heads import Target
from saliency_cli.model.passes import PassRequest, clean_passes, gradient_passes
from saliency_cli.model.tokenization import encode
from saliency_cli.settings import Compute, ModelChoice
from tests.support.architectures import ARCHITECTURES, save_architecture
from tests.support.attribution import engine, scored
from tests.support.models import TEXTS
from tests.support.paths import ROOT

NORMALISED = {"DeBERTa", "DeBERTa-v2/v3", "ModernBERT", "ModernBERT, mean"}
"""Their token embeddings go straight into a LayerNorm, and have no length behind it."""
SHARED = {"T5": ("encoder", "decoder"), "BART": ("encoder", "decoder")}
NO_EMBEDS = {*SHARED, "T5, ReLU"}
Loaded = Callable[[str], Classifier]


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory, compute: Compute) -> Loaded:
    """Return a function that loads the classifier of an architecture, once."""
    known: dict[str, Classifier] = {}

    def get(name: str) -> Classifier:
        if name not in known:
            folder = save_architecture(name, tmp_path_factory.mktemp("architecture"))
            known[name] = load(ModelChoice(folder), compute)
            assert known[name].deterministic
        return known[name]

    return get


def assert_same(ours: list[Tensor], theirs: list[Tensor], bound: float = 1e-5) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert other.abs().max() > 0
        assert (one - other).abs().max() <= bound * other.abs().max()


@pytest.mark.parametrize("reduction", ["l2", "dot"])
@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - {"T5, ReLU"}))
def test_a_rows_scores_are_its_own(
    monkeypatch: pytest.MonkeyPatch, loaded: Loaded, name: str, reduction: str
) -> None:
    classifier = loaded(name)
    if reduction == "dot" and name in NORMALISED:
        classifier = with_layer(classifier, str(embeddings_block(classifier)))
    assert_independent(monkeypatch, classifier, reduction)


def assert_independent(
    monkeypatch: pytest.MonkeyPatch, classifier: Classifier, reduction: str
) -> None:
    maths: dict[str, Any] = {"samples": 4, "reduction": reduction}
    alone = [scored(engine(classifier, **maths), [text])[0] for text in TEXTS]
    for side in ("left", "right"):
        monkeypatch.setattr(classifier.tokenizer, "padding_side", side)
        assert_same(scored(engine(classifier, **maths), TEXTS), alone)
    backwards = scored(engine(classifier, tokens=60, **maths), TEXTS[::-1])
    assert_same(backwards[::-1], alone)


def test_a_relu_jumps_in_float32_only(
    monkeypatch: pytest.MonkeyPatch, compute: Compute, tmp_path: Path
) -> None:
    # One unit in thousands has an input within rounding of 0, and its gradient is all or nothing;
    # in float64 the batch moves nothing far enough.
    folder = save_architecture("T5, ReLU", tmp_path)
    classifier = load(ModelChoice(folder), compute)
    exact = replace(classifier, module=classifier.module.double(), matmul_backend="torch")
    assert_independent(monkeypatch, exact, "l2")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_probe_finds_who_sees_padding(loaded: Loaded, name: str) -> None:
    assert loaded(name).padding_blind == ARCHITECTURES[name].padding_blind


@pytest.mark.parametrize("name", ["T5", "XLNet", "DeBERTa-v2/v3"])
def test_streams_change_nothing(loaded: Loaded, name: str) -> None:
    run = engine(loaded(name), samples=4)
    assert_same(scored(replace(run, replicas=2), TEXTS), scored(run, TEXTS))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_longest_text_fits(loaded: Loaded, name: str) -> None:
    classifier = loaded(name)
    (encoding,) = encode(classifier.tokenizer, ["home is " * 200], max_length=classifier.max_length)
    assert encoding.truncated
    assert len(encoding) == classifier.max_length
    assert bool(clean_passes(classifier, [encoding])[0].logits.isfinite().all())


@pytest.mark.parametrize("name", ["T5", "ModernBERT"])
def test_bfloat16_tells_much_the_same(
    loaded: Loaded, compute: Compute, tmp_path: Path, name: str
) -> None:
    folder = save_architecture(name, tmp_path)
    half = load(ModelChoice(folder), replace(compute, dtype="bfloat16"))
    theirs = scored(engine(loaded(name), samples=4), TEXTS)
    for one, other in zip(scored(engine(half, samples=4), TEXTS), theirs, strict=True):
        assert float((one - other).abs().sum()) < 0.2


# The leaf is the one that plain autograd would take.


def ours(classifier: Classifier, text: str, shift: Tensor | None = None) -> Tensor:
    """Return the engine's gradient [L, H] of one pass, displaced by `shift` [1, L, H]."""
    clean = clean_passes(
        classifier, encode(classifier.tokenizer, [text], max_length=classifier.max_length)
    )[0]
    still = torch.zeros(1, *clean.embedding.shape)
    predicted = int(clean.logits.argmax())
    aim = PassRequest(clean, Target(classifier.labels[predicted], predicted), 1)
    made = gradient_passes(classifier, [aim], still if shift is None else shift, objective="logit")
    return made.values[0]


def inputs_of(classifier: Classifier, text: str) -> dict[str, Tensor]:
    return dict(classifier.tokenizer(text, return_tensors="pt").to(classifier.device))


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - NO_EMBEDS))
def test_without_noise_it_is_the_plain_gradient(loaded: Loaded, name: str) -> None:
    classifier = loaded(name)
    inputs = inputs_of(classifier, TEXTS[3])
    leaf = classifier.embedding(inputs.pop("input_ids")).detach().requires_grad_()
    logits = classifier.module(inputs_embeds=leaf, **inputs).logits
    expected = torch.autograd.grad(logits.max(), leaf)[0][0]
    assert_same([ours(classifier, TEXTS[3])], [expected])


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", SHARED)
def test_both_uses_of_a_shared_embedding_count(loaded: Loaded, name: str, noise: float) -> None:
    classifier = loaded(name)
    inputs = inputs_of(classifier, TEXTS[3])
    target = int(classifier.module(**inputs).logits.argmax())
    shape = classifier.embedding(inputs["input_ids"]).shape
    shift = noise * torch.randn(shape, generator=torch.Generator().manual_seed(3))
    shift = shift.to(classifier.device)
    moved = torch.cat((torch.zeros_like(shift[:, :1]), shift[:, :-1]), dim=1)
    outputs: list[Tensor] = []

    def displace(layer: nn.Module, by: Tensor) -> Any:  # noqa: ANN401
        def add(_layer: nn.Module, _args: object, output: Tensor) -> Tensor:
            outputs.append((output + by).detach().requires_grad_())
            return outputs[-1]

        return layer.register_forward_hook(add)

    encoder, decoder = (table_of(classifier, side) for side in SHARED[name])
    handles = [displace(encoder, shift), displace(decoder, moved)]
    logits = classifier.module(**inputs).logits
    for handle in handles:
        handle.remove()
    in_encoder, in_decoder = torch.autograd.grad(logits[0, target], outputs)
    expected = in_encoder[0].clone()
    expected[:-1] += in_decoder[0, 1:]
    assert float(in_decoder[0, 1:].abs().max()) > 0.01 * float(in_encoder.abs().max())
    assert_same([ours(classifier, TEXTS[3], shift)], [expected])


def table_of(classifier: Classifier, side: str) -> nn.Module:
    """Return the token embedding of the encoder or the decoder."""
    names = [name for name, _ in classifier.module.named_modules()]
    (name,) = (name for name in names if name.endswith(f"{side}.embed_tokens"))
    return classifier.module.get_submodule(name)


# What an architecture asks of its user.


@pytest.mark.parametrize("name", sorted(NORMALISED))
def test_dot_is_refused_where_a_norm_follows_the_embedding(loaded: Loaded, name: str) -> None:
    classifier = loaded(name)
    block = str(embeddings_block(classifier))
    with pytest.raises(UsageError, match="--reduction dot is nothing but rounding") as caught:
        check_reduction(classifier, Maths(reduction="dot"))
    assert f"--embedding-layer {block}" in str(caught.value.hint)
    check_reduction(with_layer(classifier, block), Maths(reduction="dot"))
    check_reduction(classifier, Maths(reduction="l2"))


@pytest.mark.parametrize("name", sorted(set(ARCHITECTURES) - NORMALISED))
def test_dot_is_allowed_elsewhere(loaded: Loaded, name: str) -> None:
    check_reduction(loaded(name), Maths(reduction="dot"))


@pytest.mark.parametrize("name", ["GPT-2, no padding", "Llama", "GPT-2, padding unsaid"])
def test_a_model_saved_without_padding_predicts_as_it_does_alone(loaded: Loaded, name: str) -> None:
    classifier = loaded(name)
    encodings = encode(classifier.tokenizer, TEXTS[:2], max_length=64)
    if not classifier.padding_blind:
        encodings = encodings[:1] * 2
    together = clean_passes(classifier, encodings)
    classifier.module.config.pad_token_id, pad = None, classifier.module.config.pad_token_id  # type: ignore[union-attr]
    for clean, encoding in zip(together, encodings, strict=True):
        ids = torch.tensor([encoding.ids], device=classifier.device)
        alone = classifier.module(input_ids=ids).logits[0].cpu()
        torch.testing.assert_close(clean.logits, alone, rtol=1e-4, atol=1e-5)
    classifier.module.config.pad_token_id = pad  # type: ignore[union-attr]


def test_the_docs_tell_every_architecture() -> None:
    page = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    told = {row[0]: (row[1], row[2]) for row in rows}
    for name, made in ARCHITECTURES.items():
        batched = "padded" if made.padding_blind else "by equal length"
        assert told[name] == (made.tokenizer, batched)
    assert Path(__file__).name in page
