"""Conservative propagation: the forward pass is untouched, the backward pass keeps relevance."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification
from transformers.activations import ACT2FN

from saliency_cli.model.conservative import (
    RULES,
    conservative_propagation,
    operations_without_rule,
)

WIDTH, TOKENS, HEADS = 16, 6, 2
Function = Callable[[Tensor], Tensor]


def embeddings() -> Tensor:
    """Return random embeddings [1, L, H]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, TOKENS, WIDTH, generator=generator)


def relevance(function: Function, x: Tensor, *, conservative: bool = True) -> Tensor:
    """Return x·G [..., L] for the sum of what a function gives at x."""
    x = x.detach().requires_grad_()
    module = function if isinstance(function, nn.Module) else nn.Identity()
    if conservative:
        with conservative_propagation(module):
            output = function(x)
    else:
        output = function(x)
    (gradient,) = torch.autograd.grad(output.sum(), x)
    return (gradient * x).sum(dim=-1).detach()


def bert(*, attention: str = "eager", activation: str = "gelu") -> BertForSequenceClassification:
    """Return a BERT of two layers with random weights and biases that require no gradient."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=2 * WIDTH,
        max_position_embeddings=TOKENS,
        initializer_range=0.3,
        hidden_act=activation,
        attn_implementation=attention,
    )
    model = BertForSequenceClassification(config).eval().requires_grad_(requires_grad=False)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape))
    return model


def logit_of(model: BertForSequenceClassification) -> Function:
    """Return the function from embeddings to the first logit."""
    return lambda x: model(inputs_embeds=x).logits[:, 0]


# ---- the forward pass


@pytest.mark.parametrize("activation", [name for name in sorted(ACT2FN) if name != "xielu"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_logits_are_equal_bit_for_bit(activation: str, attention: str) -> None:
    model = bert(attention=attention, activation=activation)
    x = embeddings().requires_grad_()
    plain = model(inputs_embeds=x).logits
    with conservative_propagation(model):
        assert torch.equal(model(inputs_embeds=x).logits, plain)
    assert torch.equal(model(inputs_embeds=x).logits, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "function",
    [
        nn.LayerNorm(WIDTH),
        nn.LayerNorm(WIDTH, elementwise_affine=False),
        nn.RMSNorm(WIDTH),
        nn.MultiheadAttention(WIDTH, HEADS, batch_first=True),
        functional.normalize,
    ],
    ids=lambda each: getattr(each, "__name__", type(each).__name__),
)
def test_values_of_a_rule_are_those_of_the_operation(
    function: Function, dtype: torch.dtype
) -> None:
    function = function.to(dtype) if isinstance(function, nn.Module) else function
    x = embeddings().to(dtype).requires_grad_()
    arguments = (x, x, x) if isinstance(function, nn.MultiheadAttention) else (x,)
    plain = function(*arguments)
    with conservative_propagation(nn.Identity()):
        ruled = function(*arguments)
    both = ((plain, ruled),) if isinstance(plain, Tensor) else zip(plain, ruled, strict=True)
    assert all(torch.equal(one, other) for one, other in both)


# ---- the backward pass, operation by operation


@pytest.mark.parametrize(
    "function",
    [
        functional.gelu,
        functional.silu,
        functional.relu,
        torch.tanh,
        ACT2FN["gelu_new"],
        ACT2FN["quick_gelu"],
        lambda x: x / x.std(dim=-1, keepdim=True),
        lambda x: x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True)),
        lambda x: functional.rms_norm(x, (WIDTH,)),
        functional.normalize,
        lambda x: functional.silu(x[..., :8]) * x[..., 8:],
        lambda x: x @ x.transpose(-1, -2),
        lambda x: torch.einsum("bld,bmd->blm", x, x),
        lambda x: torch.baddbmm(x @ torch.ones(WIDTH, TOKENS), x, x.transpose(-1, -2)),
    ],
)
def test_an_operation_keeps_the_sum_of_relevance(function: Function) -> None:
    x = embeddings()
    kept = relevance(function, x).sum()
    assert kept.item() == pytest.approx(function(x).sum().item(), rel=1e-4)


def test_a_layer_norm_keeps_the_sum_but_for_its_bias() -> None:
    norm = nn.LayerNorm(WIDTH)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = embeddings()
    expected = norm(x).sum() - TOKENS * norm.bias.sum()
    assert relevance(norm, x).sum().item() == pytest.approx(expected.item(), rel=1e-4)
    # Plain autograd divides the length out, and leaves nothing.
    assert relevance(norm, x, conservative=False).abs().max() < 1e-3


@pytest.mark.parametrize("varying", ["q", "k", "v", "qk", "qv", "kv", "qkv"])
def test_attention_has_its_gradients_scaled_outside_the_kernel(varying: str) -> None:
    tensors = {name: torch.randn(1, HEADS, TOKENS, 8) for name in "qkv"}
    for name in varying:
        tensors[name].requires_grad_()
    attend = partial_attention(tensors)
    plain = torch.autograd.grad(attend(), [tensors[name] for name in varying])
    with conservative_propagation(nn.Identity()):
        ruled = torch.autograd.grad(attend(), [tensors[name] for name in varying])
    of_value = 0.5 if "v" in varying and len(varying) > 1 else 1
    of_scores = (0.5 if "v" in varying else 1) * (0.5 if {"q", "k"} <= {*varying} else 1)
    for name, one, other in zip(varying, ruled, plain, strict=True):
        assert torch.equal(one, other * (of_value if name == "v" else of_scores))


def partial_attention(tensors: dict[str, Tensor]) -> Callable[[], Tensor]:
    """Return a function that sums what attention gives, values by keyword."""
    query, key, value = tensors["q"], tensors["k"], tensors["v"]
    attend = functional.scaled_dot_product_attention
    return lambda: attend(query, key, value=value).square().sum()


def test_gradients_are_those_of_autograd_where_no_rule_applies() -> None:
    linear = nn.Linear(WIDTH, 1).requires_grad_(requires_grad=False)

    def model(x: Tensor) -> Tensor:
        pooled = x.mean(dim=1) - x.amax(dim=1)
        return functional.softmax(linear(pooled), dim=0) + torch.exp(linear(x[:, 0]))

    x = embeddings()
    assert torch.equal(relevance(model, x), relevance(model, x, conservative=False))


# ---- a whole model


@contextmanager
def kept_gradients(model: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Yield a list that receives, for each layer with a bias, its output and the bias."""
    found: list[tuple[Tensor, Tensor]] = []

    def keep(layer: nn.Module, _args: object, output: Tensor) -> None:
        output.retain_grad()
        found.append((output, layer.get_parameter("bias")))

    layers = [each for each in model.modules() if isinstance(each, nn.Linear | nn.LayerNorm)]
    handles = [layer.register_forward_hook(keep) for layer in layers]
    yield found
    for handle in handles:
        handle.remove()


def test_relevance_of_a_bert_adds_up_to_its_logit(monkeypatch: pytest.MonkeyPatch) -> None:
    # F = Σ x·G over the embeddings of tokens, positions and segments, plus b·G of every bias, plus
    # what each softmax p(s) adds: its linear approximation p·G_p = s·G_s + the rest has a rest.
    scores: list[tuple[Tensor, Tensor]] = []

    def keep(operation: Function, args: tuple[Tensor], keywords: dict[str, int]) -> Tensor:
        output = operation(*args, **keywords)
        for each in (args[0], output):
            each.retain_grad()
        scores.append((args[0], output))
        return output

    monkeypatch.setitem(RULES, functional.softmax, keep)
    model, x = bert(), embeddings().requires_grad_()
    with kept_gradients(model) as biases, conservative_propagation(model):
        logit = logit_of(model)(x).sum()
        logit.backward()  # type: ignore[no-untyped-call]
    of_biases = sum(_relevance(bias, output) for output, bias in biases)
    table = model.bert.embeddings
    fixed = table.position_embeddings.weight[:TOKENS] + table.token_type_embeddings.weight[0]
    of_softmax = sum(_relevance(out, out) - _relevance(each, each) for each, out in scores)
    total = _relevance(x, x) + _relevance(fixed, x) + of_biases + of_softmax
    assert len(scores) == 2
    assert total == pytest.approx(logit.item(), rel=1e-3)


def _relevance(value: Tensor, at: Tensor) -> float:
    """Return value · G, summed, where G is the gradient that a tensor was given."""
    return 0.0 if at.grad is None else float((value * at.grad).sum().detach())


# The rules of "AttnLRP" in its efficient form, written out for BERT: an implementation of its own.


def held(x: Tensor) -> Tensor:
    return x.detach()


def halved(x: Tensor) -> Tensor:
    """Equation 13: a product shares its relevance between its factors."""
    return x / 2 + (x / 2).detach()


def by_ratio(x: Tensor, output: Tensor) -> Tensor:
    """Equation 9: an elementwise function passes on what it is given."""
    return x * held(output / x)


def norm(x: Tensor, layer: nn.LayerNorm) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    deviation = (centred.square().mean(dim=-1, keepdim=True) + layer.eps).sqrt()
    return centred / held(deviation) * layer.weight + layer.bias


def transcribed(model: BertForSequenceClassification, x: Tensor) -> Tensor:
    """Return the first logit of a BERT, with operations that have the paper's backward pass."""
    parts = model.bert.embeddings
    x = x + parts.position_embeddings.weight[:TOKENS] + parts.token_type_embeddings.weight[0]
    x = norm(x, parts.LayerNorm)
    for layer in model.bert.encoder.layer:
        own = layer.attention.self
        query, key, value = (
            each(x).view(1, TOKENS, HEADS, -1).transpose(1, 2)
            for each in (own.query, own.key, own.value)
        )
        product = halved(query @ key.transpose(-1, -2)) / math.sqrt(query.shape[-1])
        context = halved(product.softmax(dim=-1) @ value).transpose(1, 2).reshape(x.shape)
        x = norm(layer.attention.output.dense(context) + x, layer.attention.output.LayerNorm)
        inner = layer.intermediate.dense(x)
        inner = by_ratio(inner, functional.gelu(inner))
        x = norm(layer.output.dense(inner) + x, layer.output.LayerNorm)
    pooled = model.bert.pooler.dense(x[:, 0])
    logits: Tensor = model.classifier(by_ratio(pooled, pooled.tanh()))
    return logits[:, 0]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_scores_equal_those_of_the_published_rules(attention: str) -> None:
    model, x = bert(attention=attention), embeddings()
    expected = relevance(lambda each: transcribed(model, each), x, conservative=False)
    actual = relevance(logit_of(model), x)
    assert (actual - expected).abs().max() < 1e-5 * expected.abs().max()
    plain = relevance(logit_of(model), x, conservative=False)
    assert (actual - plain).abs().max() > 0.1 * expected.abs().max()


def test_rules_hold_in_their_own_thread_only() -> None:
    model, x = bert(), embeddings()
    plain = relevance(logit_of(model), x, conservative=False)
    with conservative_propagation(nn.Identity()), ThreadPoolExecutor(1) as pool:
        job = pool.submit(relevance, logit_of(model), x, conservative=False)
        assert torch.equal(job.result(), plain)


def test_an_activation_in_place_keeps_its_derivative() -> None:
    x = embeddings()
    in_place = relevance(lambda each: functional.silu(each * 1.0, inplace=True), x)
    assert torch.equal(in_place, relevance(functional.silu, x, conservative=False))


# ---- what has no rule


class GroupNormed(nn.Module):
    """Normalises groups of dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(2, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised embeddings."""
        normalised: Tensor = self.norm(x.transpose(1, 2))
        return normalised


class Recurrent(nn.Module):
    """A recurrent layer whose weights are frozen, as those of every classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(WIDTH, 4).requires_grad_(requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the states."""
        states: Tensor = self.layer(x)[0]
        return states


class OwnFunction(torch.autograd.Function):
    """A function with a backward pass of its own, as fused kernels have."""

    @staticmethod
    def forward(_ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_ctx: object, *gradients: Tensor) -> Tensor:
        return gradients[0]


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (Recurrent(), ["GRU"]),
        (GroupNormed(), ["NativeGroupNorm"]),
        (OwnFunction.apply, ["OwnFunction"]),
        (nn.LayerNorm(WIDTH), []),
        (nn.RMSNorm(WIDTH), []),
        (nn.TransformerEncoderLayer(WIDTH, HEADS, batch_first=True).eval(), []),
        (lambda x: functional.layer_norm(x, (WIDTH,)).tanh(), []),
    ],
)
def test_operations_without_a_rule_are_named(function: Function, names: list[str]) -> None:
    with conservative_propagation(nn.Identity()):
        result = function(embeddings().requires_grad_())
    module = function if isinstance(function, nn.Module) else nn.Identity()
    assert operations_without_rule(module, result) == names
