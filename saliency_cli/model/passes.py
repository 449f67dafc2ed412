"""One batch through the model: forward for clean passes, forward and backward for noisy ones.

Shapes: B texts or passes in the batch, L tokens of the longest, H embedding dimensions, C labels.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import inf
from typing import Self

import torch
from torch import Tensor

from saliency_cli.model.classifier import Classifier
from saliency_cli.model.conservative import conservative_propagation
from saliency_cli.model.devices import to_device
from saliency_cli.model.embedding_hook import EmbeddingHook, hook_embedding
from saliency_cli.model.heads import Targets
from saliency_cli.model.matmul import use_matmul_backend
from saliency_cli.model.objectives import objective_values
from saliency_cli.model.output_logits import check_width, read_logits
from saliency_cli.model.token_batch import TokenBatch, join_padded
from saliency_cli.records import Encoding
from saliency_cli.settings import ObjectiveName

NO_UNIT = -1
"""The number in `CleanPasses.units` of what no method takes out of a text."""


@dataclass(frozen=True, slots=True)
class CleanPasses:
    """The passes of B texts without noise.

    Attributes:
        tokens: The texts.
        logits: [B, C], float32, on the CPU.
        embeddings: The embedding layer's output E, [B, L, H], float32. On padding it holds what the
            layer gives there.
        ranges: max E − min E of each text, to which its noise is scaled, [B].
        baselines: The embeddings of a baseline B, [B, L, H], for a method that has one.
        baseline_logits: The logits of the baseline, [B, C], float32, on the CPU, for a method that
            compares F with that of the baseline.
        units: What is taken out of a text as one: the number of each token's unit from 0 on, [B,
            L], −1 for special tokens and padding; for a method that perturbs texts.
    """

    tokens: TokenBatch
    logits: Tensor
    embeddings: Tensor
    ranges: Tensor
    baselines: Tensor | None = None
    baseline_logits: Tensor | None = None
    units: Tensor | None = None

    @property
    def factors(self) -> Tensor:
        """What `dot` multiplies gradients with, [B, L, H]: E, or E − B with a baseline B."""
        return self.embeddings if self.baselines is None else self.embeddings - self.baselines

    def select(self, index: Tensor) -> Self:
        """Return the passes of some texts.

        Args:
            index: Their numbers [N], on the CPU.
        """
        tokens = self.tokens.select(index)
        there = to_device(index, self.embeddings.device)

        def wide(each: Tensor) -> Tensor:
            return each[:, : tokens.longest][there]

        return replace(
            self,
            tokens=tokens,
            logits=self.logits[index],
            embeddings=wide(self.embeddings),
            ranges=self.ranges[there],
            baselines=None if self.baselines is None else wide(self.baselines),
            baseline_logits=None if self.baseline_logits is None else self.baseline_logits[index],
            units=None if self.units is None else wide(self.units),
        )

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the passes of several batches as one."""
        if len(parts) == 1:
            return parts[0]
        baselines = [part.baselines for part in parts if part.baselines is not None]
        logits = [part.baseline_logits for part in parts if part.baseline_logits is not None]
        units = [part.units for part in parts if part.units is not None]
        return cls(
            TokenBatch.join([part.tokens for part in parts]),
            torch.cat([part.logits for part in parts]),
            join_padded([part.embeddings for part in parts]),
            torch.cat([part.ranges for part in parts]),
            join_padded(baselines) if baselines else None,
            torch.cat(logits) if logits else None,
            join_padded(units, fill=NO_UNIT) if units else None,
        )


@dataclass(frozen=True, slots=True)
class Gradients:
    """The results of D draws.

    Attributes:
        values: The gradient of each draw, the mean over its passes, [D, L, H].
        logits: The logits of each draw's passes, [D, passes, C], float32, on the CPU.
    """

    values: Tensor
    logits: Tensor


def embedding_output_shape(classifier: Classifier, encoding: Encoding) -> torch.Size:
    """Return the shape of the embedding layer's output for one text, [1, L, H] or [L, 1, H].

    Args:
        classifier: The model; its `tokens_first` is not used.
        encoding: The text's tokens.
    """
    with torch.no_grad(), _hook_classifier(replace(classifier, tokens_first=False)) as hook:
        _logits(classifier, token_batch([encoding], classifier))
    return hook.leaf.shape


def token_batch(encodings: Sequence[Encoding], classifier: Classifier) -> TokenBatch:
    """Return the tokens of some texts, on the device of a model.

    Args:
        encodings: The texts.
        classifier: The model.
    """
    return TokenBatch.of(encodings, pad_id=classifier.pad_id, device=classifier.device)


def clean_passes(classifier: Classifier, tokens: TokenBatch) -> CleanPasses:
    """Return the clean passes of a batch of texts, which is one forward pass of the model.

    Args:
        classifier: The model.
        tokens: The texts.
    """
    with torch.no_grad(), _hook_classifier(classifier) as hook:
        logits = _logits(classifier, tokens)
    return CleanPasses(tokens, logits.cpu(), hook.leaf, _ranges(hook.leaf, tokens))


def forward_logits(
    classifier: Classifier, tokens: TokenBatch, displacement: Tensor | None = None
) -> Tensor:
    """Return the logits [B, C] of one forward pass, float32, on the CPU.

    Args:
        classifier: The model.
        tokens: The texts.
        displacement: What is added to the embeddings, [B, L, H]; None for the texts as they are.
    """
    with torch.no_grad(), _hook_classifier(classifier, displacement):
        return _logits(classifier, tokens).cpu()


def _ranges(embedding: Tensor, tokens: TokenBatch) -> Tensor:
    """Return max E − min E of each text [B], for E [B, L, H], without padding."""
    padding = ~tokens.mask()[..., None]
    largest = embedding.masked_fill(padding, -inf).amax(dim=(1, 2))
    smallest = embedding.masked_fill(padding, inf).amin(dim=(1, 2))
    return largest - smallest


def differentiable_logits(
    classifier: Classifier, encodings: Sequence[Encoding], *, to_weights: bool = False
) -> Tensor:
    """Return the logits [B, C] of a batch of texts with the graph of a backward pass.

    Args:
        classifier: The model.
        encodings: The texts' tokens.
        to_weights: Whether the graph reaches the weights that need gradients, not the embeddings.
    """
    hook = nullcontext() if to_weights else _hook_classifier(classifier)
    with torch.enable_grad(), hook:
        return _logits(classifier, token_batch(encodings, classifier))


def gradient_passes(
    classifier: Classifier,
    tokens: TokenBatch,
    displacement: Tensor | None,
    *,
    targets: Targets,
    objective: ObjectiveName,
    antithetic: bool = False,
) -> Gradients:
    """Return the gradients ∂F/∂E at E + z, for D draws in one batch.

    The passes share one graph, but each has a leaf of its own. So the gradient of the sum of all F
    holds the gradient of each pass.

    Args:
        classifier: The model.
        tokens: The text of each draw, D in all.
        displacement: The displacement z of each draw, [D, L, H]; None where all of them are zero.
        targets: What F is about, for each draw.
        objective: A key of `objectives.OBJECTIVES`: what F is.
        antithetic: Whether a draw is a pair of passes, at E + z and at E − z.
    """
    passes = 2 if antithetic else 1
    if displacement is not None and antithetic:
        displacement = torch.stack((displacement, -displacement), dim=1).flatten(0, 1)
    repeated = tokens.repeated(passes) if antithetic else tokens
    with torch.enable_grad(), _hook_classifier(classifier, displacement) as hook:
        logits = _logits(classifier, repeated)
    check_width(logits, labels=len(classifier.labels))
    every = torch.arange(len(tokens)).repeat_interleave(passes)
    outputs = objective_values(
        logits, targets.select(every), objective=objective, head=classifier.head
    )
    (values,) = torch.autograd.grad(outputs.sum(), hook.leaf)
    if antithetic:
        values = values.view(-1, passes, *values.shape[1:]).mean(dim=1)
    return Gradients(values, logits.detach().cpu().view(len(tokens), passes, -1))


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


def _logits(classifier: Classifier, tokens: TokenBatch) -> Tensor:
    """Return the logits [B, C] of a batch in float32."""
    inputs = {
        "input_ids": tokens.ids,
        "attention_mask": tokens.mask().long(),
        "token_type_ids": tokens.type_ids,
    }
    with use_matmul_backend(classifier.matmul_backend), _propagation(classifier):
        output = classifier.module(**{name: inputs[name] for name in classifier.inputs})
    logits, texts = read_logits(output).float(), len(tokens)
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
