"""One batch through the model: forward for the clean texts, forward and backward for the noisy.

Shapes: B texts or passes in the batch, L tokens of the longest, H dimensions, C labels.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from saliency_cli.errors import CheckpointError
from saliency_cli.model.classifier import Classifier
from saliency_cli.model.devices import to_device
from saliency_cli.model.embedding_hook import EmbeddingHook, hook_embedding
from saliency_cli.model.heads import Target, decisions, weights
from saliency_cli.model.matmul import use_matmul_backend
from saliency_cli.records import Encoding


@dataclass(frozen=True, slots=True)
class CleanPass:
    """A text's clean pass: logits [C] and embedding [L, H], both float32, without padding.

    `spread` is max E − min E.
    """

    encoding: Encoding
    logits: Tensor
    embedding: Tensor
    spread: float
    baseline: Tensor | None = None

    @property
    def factor(self) -> Tensor:
        """What `dot` multiplies gradients with, [L, H]: E, or E − B with a baseline B."""
        return self.embedding if self.baseline is None else self.embedding - self.baseline


@dataclass(frozen=True, slots=True)
class PassRequest:
    """A text, what of its logits is explained, and in how many draws."""

    clean: CleanPass
    target: Target
    draws: int


@dataclass(frozen=True, slots=True)
class Gradients:
    """What D draws give: gradients [D, L, H], and how many passes of each decide otherwise."""

    values: Tensor
    flips: list[int]


def logit(logits: Tensor, weights: Tensor) -> Tensor:
    """Return F as the target's logit, or the difference of two, per pass."""
    return (logits * weights).sum(dim=1)


def loss(logits: Tensor, weights: Tensor) -> Tensor:
    """Return F as the cross-entropy of the target, per pass (AllenNLP Interpret)."""
    return cross_entropy(logits, weights, reduction="none")


OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"logit": logit, "loss": loss}


def shape_at_layer(classifier: Classifier, encoding: Encoding) -> torch.Size:
    """Return the shape in which the embedding layer gives one text, for a probe of its layout."""
    with torch.no_grad(), _hook_embedding(replace(classifier, tokens_first=False)) as tap:
        _logits(classifier, [encoding])
    return tap.leaf.shape


def clean_passes(classifier: Classifier, encodings: Sequence[Encoding]) -> list[CleanPass]:
    """Predict a batch of texts, and keep the embeddings that the prediction was made from."""
    with torch.no_grad(), _hook_embedding(classifier) as tap:
        logits = _logits(classifier, encodings)
    # Clones, so that a text under way does not hold the memory of the whole batch.
    embeddings = [leaf[: len(e)].clone() for leaf, e in zip(tap.leaf, encodings, strict=True)]
    columns = (encodings, logits.cpu(), embeddings, _spreads(tap.leaf, encodings))
    return [CleanPass(*fields) for fields in zip(*columns, strict=True)]


def _spreads(embedding: Tensor, encodings: Sequence[Encoding]) -> list[float]:
    """Return max E − min E of each text, for E [B, L, H], over its own tokens."""
    padding = to_device(~_token_mask(encodings), embedding.device)[..., None]
    most = embedding.masked_fill(padding, -inf).amax(dim=(1, 2))
    least = embedding.masked_fill(padding, inf).amin(dim=(1, 2))
    return (most - least).tolist()


def _token_mask(encodings: Sequence[Encoding]) -> Tensor:
    """Return [B, L]: True for a text's own tokens, False for padding."""
    lengths = torch.tensor([len(encoding) for encoding in encodings])
    return torch.arange(int(lengths.max())) < lengths[:, None]


def gradient_passes(
    classifier: Classifier,
    aims: Sequence[PassRequest],
    displacement: Tensor | None,
    *,
    objective: str,
    antithetic: bool = False,
) -> Gradients:
    """Take ∂F/∂E at E + z for the draws of some texts, so many of each; for pairs, at E − z too.

    `displacement` holds the z of all D draws, [D, L, H]. The passes share one graph, but each has a
    leaf of its own, so the gradient of their sum is the gradient of each.
    """
    passes = 2 if antithetic else 1
    if displacement is not None:
        displacement = displacement.to(classifier.device)
    if displacement is not None and antithetic:
        displacement = torch.stack((displacement, -displacement), dim=1).flatten(0, 1)
    repeats = torch.tensor([aim.draws * passes for aim in aims])
    with torch.enable_grad(), _hook_embedding(classifier, displacement) as tap:
        logits = _logits(classifier, [aim.clean.encoding for aim in aims], repeats=repeats)
    wanted = _repeated(weights([aim.target for aim in aims], labels=logits.shape[1]), repeats)
    total = OBJECTIVES[objective](logits, to_device(wanted, classifier.device)).sum()
    (values,) = torch.autograd.grad(total, tap.leaf)
    if antithetic:
        values = values.view(-1, passes, *values.shape[1:]).mean(dim=1)
    return Gradients(values, _flips(logits.detach().cpu(), aims, repeats=repeats, passes=passes))


def _flips(
    logits: Tensor, aims: Sequence[PassRequest], *, repeats: Tensor, passes: int
) -> list[int]:
    """Count for each draw the passes that decide otherwise than the clean one."""
    targets = [aim.target for aim in aims for _ in range(aim.draws * passes)]
    clean = torch.stack([aim.clean.logits for aim in aims])
    before = _repeated(decisions(clean, [aim.target for aim in aims]), repeats)
    flipped = decisions(logits, targets) != before
    return flipped.view(-1, passes).sum(dim=1).tolist()


def _repeated(values: Tensor, repeats: Tensor) -> Tensor:
    return values.repeat_interleave(repeats, dim=0)


def _hook_embedding(
    classifier: Classifier, displacement: Tensor | None = None
) -> AbstractContextManager[EmbeddingHook]:
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
    """Run a batch, padded on the right, each text as often as `repeats` has it.

    Returns logits [B, C] in float32.
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
    with use_matmul_backend(classifier.matmul_backend):
        output = classifier.module(**{name: inputs[name] for name in classifier.inputs})
    logits = read_logits(output).float()
    # A head of one output is often squeezed, and the batch with it where that holds one text.
    return logits.view(len(inputs["input_ids"]), -1) if logits.dim() < 2 else logits


def read_logits(output: object) -> Tensor:
    """Return the logits out of what a module gives: a tensor, the first of a tuple, or by name.

    Raises:
        CheckpointError: they are not there.
    """
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif isinstance(output, tuple | list) and output:
        output = output[0]
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise CheckpointError(
            "the model gives no logits",
            "let forward return a tensor, a tuple that begins with it, or a dict with 'logits'",
        )
    return output


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (longest - len(row))] for row in rows])
