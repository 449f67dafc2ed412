"""One batch through the model: forward for clean passes, forward and backward for noisy ones.

Shapes: B texts or passes in the batch, L tokens of the longest, H embedding dimensions, C labels.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from saliency_cli.errors import CheckpointError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.conservative import conservative_propagation
from saliency_cli.model.devices import to_device
from saliency_cli.model.embedding_hook import EmbeddingHook, hook_embedding
from saliency_cli.model.heads import Target, decisions, logit_weights
from saliency_cli.model.matmul import use_matmul_backend
from saliency_cli.records import Encoding


@dataclass(frozen=True, slots=True)
class CleanPass:
    """The pass of one text without noise.

    Attributes:
        encoding: The text's tokens.
        logits: [C], float32, on the CPU.
        embedding: The embedding layer's output E, [L, H], float32, without padding.
        embedding_range: max E − min E, to which the noise is scaled.
    """

    encoding: Encoding
    logits: Tensor
    embedding: Tensor
    embedding_range: float
    baseline: Tensor | None = None

    @property
    def factor(self) -> Tensor:
        """What `dot` multiplies gradients with, [L, H]: E, or E − B with a baseline B."""
        return self.embedding if self.baseline is None else self.embedding - self.baseline


@dataclass(frozen=True, slots=True)
class PassRequest:
    """A request for gradients of one text.

    Attributes:
        clean: The text's clean pass.
        target: The function of the logits that is explained.
        draws: The number of draws.
    """

    clean: CleanPass
    target: Target
    draws: int


@dataclass(frozen=True, slots=True)
class Gradients:
    """The results of D draws.

    Attributes:
        values: The gradient of each draw, the mean over its passes, [D, L, H].
        flips: How many passes of each draw decide differently from the clean pass.
    """

    values: Tensor
    flips: list[int]


def logit(logits: Tensor, weights: Tensor) -> Tensor:
    """Return F per pass, [B]: the target's logit, or the difference of two logits.

    Args:
        logits: [B, C].
        weights: The weight of each logit in F, [B, C].
    """
    return (logits * weights).sum(dim=1)


def loss(logits: Tensor, weights: Tensor) -> Tensor:
    """Return F per pass, [B]: the cross-entropy of the target, as in AllenNLP Interpret.

    Args:
        logits: [B, C].
        weights: 1 at the target, else 0, [B, C].
    """
    return cross_entropy(logits, weights, reduction="none")


OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"logit": logit, "loss": loss}


def embedding_output_shape(classifier: Classifier, encoding: Encoding) -> torch.Size:
    """Return the shape of the embedding layer's output for one text, [1, L, H] or [L, 1, H].

    Args:
        classifier: The model; its `tokens_first` is not used.
        encoding: The text's tokens.
    """
    with torch.no_grad(), _hook_classifier(replace(classifier, tokens_first=False)) as hook:
        _logits(classifier, [encoding])
    return hook.leaf.shape


def clean_passes(classifier: Classifier, encodings: Sequence[Encoding]) -> list[CleanPass]:
    """Return the clean passes of a batch of texts, which is one forward pass of the model.

    Args:
        classifier: The model.
        encodings: The texts' tokens.
    """
    with torch.no_grad(), _hook_classifier(classifier) as hook:
        logits = _logits(classifier, encodings)
    # A view would keep the memory of the whole batch in use as long as one of its texts is active.
    embeddings = [leaf[: len(e)].clone() for leaf, e in zip(hook.leaf, encodings, strict=True)]
    columns = (encodings, logits.cpu(), embeddings, _spreads(hook.leaf, encodings))
    return [CleanPass(*fields) for fields in zip(*columns, strict=True)]


def _spreads(embedding: Tensor, encodings: Sequence[Encoding]) -> list[float]:
    """Return max E − min E of each text, for E [B, L, H], without padding."""
    padding = to_device(~_token_mask(encodings), embedding.device)[..., None]
    largest = embedding.masked_fill(padding, -inf).amax(dim=(1, 2))
    smallest = embedding.masked_fill(padding, inf).amin(dim=(1, 2))
    return (largest - smallest).tolist()


def _token_mask(encodings: Sequence[Encoding]) -> Tensor:
    """Return a mask [B, L]: True for the tokens of a text, False for padding."""
    lengths = torch.tensor([len(encoding) for encoding in encodings])
    return torch.arange(int(lengths.max())) < lengths[:, None]


def differentiable_logits(classifier: Classifier, encodings: Sequence[Encoding]) -> Tensor:
    """Return the logits [B, C] of a batch of texts with the graph of a backward pass.

    Args:
        classifier: The model.
        encodings: The texts' tokens.
    """
    with torch.enable_grad(), _hook_classifier(classifier):
        return _logits(classifier, encodings)


def gradient_passes(
    classifier: Classifier,
    requests: Sequence[PassRequest],
    displacement: Tensor | None,
    *,
    objective: str,
    antithetic: bool = False,
) -> Gradients:
    """Return the gradients ∂F/∂E at E + z, for all draws of some texts in one batch.

    The passes share one graph, but each has a leaf of its own. So the gradient of the sum of all F
    holds the gradient of each pass.

    Args:
        classifier: The model.
        requests: The texts, with the number of draws of each.
        displacement: The displacement z of each of D draws, in the order of the requests,
            [D, L, H]; None where all of them are zero.
        objective: A key of `OBJECTIVES`: what F is.
        antithetic: Whether a draw is a pair of passes, at E + z and at E − z.
    """
    passes = 2 if antithetic else 1
    if displacement is not None:
        displacement = displacement.to(classifier.device)
    if displacement is not None and antithetic:
        displacement = torch.stack((displacement, -displacement), dim=1).flatten(0, 1)
    repeats = torch.tensor([request.draws * passes for request in requests])
    encodings = [request.clean.encoding for request in requests]
    with torch.enable_grad(), _hook_classifier(classifier, displacement) as hook:
        logits = _logits(classifier, encodings, repeats=repeats)
    targets = [request.target for request in requests]
    check_width(logits, labels=len(requests[0].clean.logits))
    weights = _repeated(logit_weights(targets, labels=logits.shape[1]), repeats)
    total = OBJECTIVES[objective](logits, to_device(weights, classifier.device)).sum()
    (values,) = torch.autograd.grad(total, hook.leaf)
    if antithetic:
        values = values.view(-1, passes, *values.shape[1:]).mean(dim=1)
    flips = _flips(logits.detach().cpu(), requests, repeats=repeats, passes=passes)
    return Gradients(values, flips)


def _flips(
    logits: Tensor, requests: Sequence[PassRequest], *, repeats: Tensor, passes: int
) -> list[int]:
    """Return for each draw the number of passes that decide differently from the clean pass."""
    targets = [request.target for request in requests for _ in range(request.draws * passes)]
    clean_logits = torch.stack([request.clean.logits for request in requests])
    clean_decisions = decisions(clean_logits, [request.target for request in requests])
    flipped = decisions(logits, targets) != _repeated(clean_decisions, repeats)
    return flipped.view(-1, passes).sum(dim=1).tolist()


def _repeated(values: Tensor, repeats: Tensor) -> Tensor:
    """Return the rows of `values`, each repeated as often as `repeats` [B] has it."""
    return values.repeat_interleave(repeats, dim=0)


def _hook_classifier(
    classifier: Classifier, displacement: Tensor | None = None
) -> AbstractContextManager[EmbeddingHook]:
    """Return the context in which the classifier's embedding layer is hooked."""
    return hook_embedding(
        classifier.module,
        classifier.embedding,
        name=classifier.embedding_name,
        displacement=displacement,
        tokens_first=classifier.tokens_first,
    )


def _logits(
    classifier: Classifier, encodings: Sequence[Encoding], *, repeats: Tensor | None = None
) -> Tensor:
    """Return the logits [B, C] of a batch in float32.

    Padding is on the right. With `repeats` [texts], each text is in the batch that many times.
    """
    inputs = {
        "input_ids": _padded([encoding.ids for encoding in encodings], classifier.pad_id),
        "attention_mask": _token_mask(encodings).long(),
    }
    if "token_type_ids" in classifier.inputs:
        inputs["token_type_ids"] = _padded([encoding.type_ids for encoding in encodings], 0)
    for name, tensor in inputs.items():
        rows = tensor if repeats is None else _repeated(tensor, repeats)
        inputs[name] = to_device(rows, classifier.device)
    with use_matmul_backend(classifier.matmul_backend), _propagation(classifier):
        output = classifier.module(**{name: inputs[name] for name in classifier.inputs})
    logits, texts = read_logits(output).float(), len(inputs["input_ids"])
    # A head of one output is often squeezed, and with one text the batch dimension is lost, too.
    logits = logits.view(texts, -1) if logits.dim() < 2 else logits
    if len(logits) != texts:
        raise ValueError(f"the model gives {len(logits)} rows of logits for {texts} texts")
    return logits


def _propagation(classifier: Classifier) -> AbstractContextManager[None]:
    """Return the context that gives the operations of a pass their backward passes."""
    if classifier.propagation == "standard" or not torch.is_grad_enabled():
        return nullcontext()
    return conservative_propagation(classifier.module)


def check_width(logits: Tensor, *, labels: int) -> None:
    """Check that logits [B, C] have one column a label.

    Args:
        logits: The logits of a batch.
        labels: The number of labels.

    Raises:
        ValueError: They have another shape.
    """
    if logits.shape[1:] != (labels,):
        shape = tuple(logits.shape[1:])
        raise ValueError(f"the model gives logits of shape {shape} for a text, not ({labels},)")


def read_logits(output: object) -> Tensor:
    """Return the logits in a module's output: a tensor, a tuple that begins with it, or by name.

    Raises:
        CheckpointError: The output has no logits.
    """
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, tuple | list) and output:
        output = output[0]
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise CheckpointError(
            "the model returns no logits",
            "let forward return a tensor, a tuple that begins with it, or a dict with 'logits'",
        )
    return output


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Return the rows as one tensor [B, L], padded on the right with `fill`."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])
