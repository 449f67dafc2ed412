"""The attention weights of a model, and the positions that its head reads.

Shapes: N layers, A heads, B texts, L tokens of a text.
"""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from saliency_cli.errors import UsageError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.embedding_hook import hook_embedding
from saliency_cli.model.matmul import use_matmul_backend
from saliency_cli.model.output_logits import read_logits
from saliency_cli.model.token_batch import TokenBatch
from saliency_cli.model.transformers_import import PreTrainedModel


@dataclass(frozen=True, slots=True)
class TextAttention:
    """The attention weights of one text; of an encoder with a decoder, those of the encoder.

    Attributes:
        weights: How much each token attends to each, [N, A, L, L], float32, on the CPU. Its last
            two dimensions are the token that attends and the token that is attended to.
        read: Weights over the positions of the last layer that the logits depend on, [L], whose sum
            is 1: 1 at the first or last token, or 1/L everywhere for a mean over the tokens.
    """

    weights: Tensor
    read: Tensor

    def received(self, matrices: Tensor) -> Tensor:
        """Return what each token receives from the positions that are read, [..., L].

        Args:
            matrices: Attention weights, [..., L, L].
        """
        return self.read @ matrices


def text_attentions(classifier: Classifier, tokens: TokenBatch) -> list[TextAttention]:
    """Return the attention weights of each text of a batch, without its padding.

    The attention is eager during this call, since fused kernels give no weights. Replicas of a
    module share that setting: unless it is eager anyway, no other thread may run a pass meanwhile.

    Args:
        classifier: The model.
        tokens: The texts.

    Raises:
        UsageError: The model gives no attention weights that its logits follow from.
    """
    layers, logits = _pass_with_attentions(classifier, tokens)
    if not _are_square(layers, texts=len(tokens), length=tokens.longest):
        raise _refused(classifier.module)
    # The logits depend on a position where its row of the last layer's weights has a gradient.
    (gradient,) = torch.autograd.grad(logits.sum(), layers[-1], materialize_grads=True)
    is_read = (gradient != 0).any(dim=3).any(dim=1).cpu()
    if not is_read.any(dim=1).all():  # XLNet returns copies of its weights
        raise _refused(classifier.module)
    read = is_read / is_read.sum(dim=1, keepdim=True)
    weights = torch.stack(layers, dim=1).detach().float().cpu()
    return [
        TextAttention(weights[n, :, :, :length, :length].clone(), read[n, :length])
        for n, length in enumerate(tokens.lengths.tolist())
    ]


def last_layer_attention(attention: TextAttention) -> Tensor:
    """Return what each token receives in the last layer, the mean over its heads, [L]."""
    return attention.received(attention.weights[-1].mean(dim=0))


def attention_rollout(attention: TextAttention) -> Tensor:
    """Return the attention rollout from the positions that are read, [L] (Abnar & Zuidema 2020).

    It is their row of the product of all layers' ½(A + I), where A is the mean over the heads. The
    identity stands for the residual connection.
    """
    rollout = attention.read
    for layer in attention.weights.mean(dim=1).flip(0):
        rollout = (rollout @ layer + rollout) / 2
    return rollout


def _pass_with_attentions(
    classifier: Classifier, tokens: TokenBatch
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Return the weights [B, A, L, L] of each layer, none without any, and each text's top logit.

    Parameters require no gradient, so the graph begins at the leaf of the embedding.
    """
    module = classifier.module
    if not _takes_output_attentions(module):
        raise _refused(module)
    inputs = {
        "input_ids": tokens.ids,
        "attention_mask": tokens.mask().long(),
        "token_type_ids": tokens.type_ids,
    }
    hook = hook_embedding(
        module,
        classifier.embedding,
        name=classifier.embedding_name,
        tokens_first=classifier.tokens_first,
    )
    with torch.enable_grad(), _eager_attention(module), hook:
        with use_matmul_backend(classifier.matmul_backend):
            given = {name: inputs[name] for name in classifier.inputs}
            output = module(**given, output_attentions=True)
        return _layers(output), read_logits(output).view(len(tokens), -1).amax(dim=1)


def _takes_output_attentions(module: nn.Module) -> bool:
    parameters = inspect.signature(module.forward).parameters
    kinds = {each.kind for each in parameters.values()}
    return "output_attentions" in parameters or inspect.Parameter.VAR_KEYWORD in kinds


def _layers(output: object) -> tuple[Tensor, ...]:
    """Return the weights of each layer that an output holds; none if it lacks those of a layer."""
    if not isinstance(output, Mapping):
        return ()
    layers = output.get("encoder_attentions") or output.get("attentions") or ()
    return layers if all(isinstance(each, Tensor) for each in layers) else ()


def _are_square(layers: Sequence[Tensor], *, texts: int, length: int) -> bool:
    """Whether there are layers, and each has as many heads as the others and weights for all pairs.

    Longformer's have the width of a window instead of the text's.
    """
    shapes = {tuple(each.shape) for each in layers}
    heads = {shape[1] for shape in shapes if len(shape) == 4}
    expected = {(texts, each, length, length) for each in heads}
    return len(heads) == 1 and shapes == expected and layers[-1].requires_grad


@contextmanager
def _eager_attention(module: nn.Module) -> Iterator[None]:
    """Compute attention by its definition while the context is open."""
    models = [each for each in module.modules() if isinstance(each, PreTrainedModel)]
    # There is no public name for it.
    before = [each.config._attn_implementation for each in models]  # noqa: SLF001
    try:
        for each, name in zip(models, before, strict=True):
            if name != "eager":
                each.set_attn_implementation("eager")
        yield
    finally:
        for each, name in zip(models, before, strict=True):
            if name != "eager":
                each.set_attn_implementation(name)


def _refused(module: nn.Module) -> UsageError:
    return UsageError(
        f"{type(module).__name__} gives no attention weights that its logits follow from",
        "leave out --attention-page, or choose another --method",
    )
