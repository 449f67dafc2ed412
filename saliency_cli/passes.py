"""One batch through the model: forward for the clean texts, forward and backward for the noisy.

Shapes: B texts or passes in the batch, L tokens of the longest, H dimensions, C labels.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from saliency_cli.classifier import Classifier
from saliency_cli.embedding import Tap, tapped
from saliency_cli.records import Encoding


@dataclass(frozen=True, slots=True)
class Clean:
    """A text's clean pass: logits [C] and embedding [L, H], both float32, without padding.

    `target` is the label that is explained, pinned here whatever the noisy passes predict;
    `spread` is max E − min E.
    """

    encoding: Encoding
    logits: Tensor
    embedding: Tensor
    target: int
    spread: float


@dataclass(frozen=True, slots=True)
class Gradients:
    """What a batch of noisy passes gives: gradients [B, L, H] and which label each pass chose."""

    values: Tensor
    chosen: Tensor


def logit(logits: Tensor, targets: Tensor) -> Tensor:
    """Return F as the target's logit, per pass."""
    return logits.gather(1, targets[:, None])[:, 0]


def loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return F as the cross-entropy of the target, per pass (AllenNLP Interpret)."""
    return cross_entropy(logits, targets, reduction="none")


OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"logit": logit, "loss": loss}


def clean_passes(classifier: Classifier, encodings: Sequence[Encoding]) -> list[Clean]:
    """Predict a batch of texts, and keep the embeddings that the prediction was made from."""
    with torch.no_grad(), _tapped(classifier) as tap:
        logits = _logits(classifier, encodings)
    embeddings = [leaf[: len(text)] for leaf, text in zip(tap.leaf, encodings, strict=True)]
    spreads = torch.stack([embedding.max() - embedding.min() for embedding in embeddings])
    columns = (encodings, logits.cpu(), embeddings, logits.argmax(dim=1).tolist(), spreads.tolist())
    return [Clean(*fields) for fields in zip(*columns, strict=True)]


def gradient_passes(
    classifier: Classifier,
    texts: Sequence[Clean],
    displacements: Sequence[Tensor],
    *,
    objective: str,
) -> Gradients:
    """Take ∂F/∂E at E + z for a batch of passes, each a text and its z [L, H].

    The passes share one graph, but each has a leaf of its own, so the gradient of their sum is the
    gradient of each. Padding is not displaced.
    """
    displacement = pad_sequence(list(displacements), batch_first=True).to(classifier.device)
    targets = torch.tensor([text.target for text in texts], device=classifier.device)
    with torch.enable_grad(), _tapped(classifier, displacement) as tap:
        logits = _logits(classifier, [text.encoding for text in texts])
    total = OBJECTIVES[objective](logits, targets).sum()
    (values,) = torch.autograd.grad(total, tap.leaf)
    return Gradients(values, logits.detach().argmax(dim=1))


def _tapped(
    classifier: Classifier, displacement: Tensor | None = None
) -> AbstractContextManager[Tap]:
    name = classifier.embedding_name
    return tapped(classifier.embedding, name=name, displacement=displacement)


def _logits(classifier: Classifier, encodings: Sequence[Encoding]) -> Tensor:
    """Run the module on a batch, padded on the right, and return its logits [B, C] in float32."""
    inputs = {
        "input_ids": _padded([encoding.ids for encoding in encodings], classifier.pad_id),
        "attention_mask": _padded([(1,) * len(encoding) for encoding in encodings], 0),
    }
    if classifier.type_ids:
        inputs["token_type_ids"] = _padded([encoding.type_ids for encoding in encodings], 0)
    on_device = {name: tensor.to(classifier.device) for name, tensor in inputs.items()}
    logits: Tensor = classifier.module(**on_device).logits
    return logits.float()


def _padded(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=fill)
