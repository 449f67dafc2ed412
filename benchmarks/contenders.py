"""Three implementations of SmoothGrad: this tool, the article's loop and Captum.

The timed call of each does the whole job: texts in, one normalised score per token out.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from captum.attr import NoiseTunnel, Saliency
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from saliency_cli.attribution.engine import Engine, explain
from saliency_cli.attribution.methods.smoothgrad import SmoothGrad
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import BadRow, Row

NOISE = 0.01
"""Standard deviation of the noise as a share of the embeddings' range, for all contenders."""


@dataclass(frozen=True, slots=True)
class TextScores:
    """The scores of one text.

    Attributes:
        scores: One normalised score per token.
        passes: The number of noisy passes that were made for the text.
    """

    scores: tuple[float, ...]
    passes: int


def token_ids(classifier: Classifier, rows: Sequence[Row]) -> list[Tensor]:
    """Return the token ids [L] of each text, as the model's tokenizer gives them.

    Args:
        classifier: The model.
        rows: The texts.
    """
    texts = [row.text for row in rows]
    encoded = classifier.tokenizer(texts, truncation=True, max_length=classifier.max_length)
    return [torch.tensor(row) for row in encoded["input_ids"]]


class Contender(Protocol):
    """An implementation that scores the tokens of texts."""

    @property
    def deterministic(self) -> bool:
        """Whether it promises the same bytes in every run; on CUDA that costs time."""

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[TextScores]:
        """Return the scores of each text, in order.

        Args:
            rows: The texts.
            seed: Seed of the noise.
        """


@dataclass(frozen=True, slots=True)
class Tool:
    """This tool's engine, as `saliency explain` runs it."""

    engine: Engine
    deterministic: bool = True

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[TextScores]:
        """Return the scores of each text, in order."""
        maths = self.engine.maths
        assert isinstance(maths.method, SmoothGrad)  # noqa: S101 - all benchmarks draw noise
        seeded = replace(maths, method=replace(maths.method, seed=seed))
        scored = []
        for outcome in explain(rows, replace(self.engine, maths=seeded)):
            if isinstance(outcome, BadRow):
                raise SystemExit(f"row {outcome.ordinal} cannot be explained: {outcome.reason}")
            attribution = outcome.attribution
            scored.append(TextScores(attribution.scores, attribution.samples or 1))
        return scored


@dataclass(frozen=True, slots=True)
class ArticleLoop:
    """The loop of the article: one text and one pass at a time, with gradients of all parameters.

    Attributes:
        samples: The number of noisy passes per text.
    """

    classifier: Classifier
    samples: int
    deterministic: bool = False

    def __post_init__(self) -> None:
        # As in a model that a user has just loaded; this tool's loader switches them off.
        self.classifier.module.requires_grad_(requires_grad=True)

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[TextScores]:
        """Return the scores of each text, in order."""
        torch.manual_seed(seed)
        return [TextScores(self._scores(row.text), self.samples) for row in rows]

    def _scores(self, text: str) -> tuple[float, ...]:
        """Return the normalised scores of one text, for the loss of its predicted label."""
        classifier = self.classifier
        encoded = classifier.tokenizer(
            text, truncation=True, max_length=classifier.max_length, return_tensors="pt"
        )
        inputs = encoded.to(classifier.device)
        with torch.no_grad():
            predicted = classifier.module(**inputs).logits.argmax(dim=1)
        gradients = [self._gradient(inputs, predicted) for _ in range(self.samples)]
        scores = torch.stack(gradients).mean(dim=0).sum(dim=-1).abs()
        return tuple((scores / scores.sum()).tolist())

    def _gradient(self, inputs: Any, predicted: Tensor) -> Tensor:  # noqa: ANN401 - untyped library
        """Return the gradient [L, H] of one noisy pass at the embeddings block."""
        module = self.classifier.module
        module.zero_grad()
        with _noisy(self.classifier.embedding) as outputs:
            loss = cross_entropy(module(**inputs).logits, predicted)
        torch.autograd.backward(loss)
        gradient = outputs[0].grad
        assert gradient is not None  # noqa: S101 - retain_grad() asked for it
        return gradient[0]


@contextmanager
def _noisy(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Add noise to the outputs of `layer` inside the block; the list collects the noisy outputs."""
    outputs: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        spread = output.detach().max() - output.detach().min()
        noisy = output + torch.randn_like(output) * NOISE * spread
        noisy.retain_grad()
        outputs.append(noisy)
        return noisy

    handle = layer.register_forward_hook(hook)
    try:
        yield outputs
    finally:
        handle.remove()


@dataclass(frozen=True, slots=True)
class BatchShape:
    """Size of Captum's batches.

    Attributes:
        texts: The number of texts in a batch.
        samples: The number of noisy copies of each text in one pass.
    """

    texts: int
    samples: int

    def __str__(self) -> str:
        return f"{self.texts} × {self.samples} (texts × samples)"


@dataclass(frozen=True, slots=True)
class CaptumTunnel:
    """Captum's `NoiseTunnel(Saliency)` on `inputs_embeds`, with texts of similar length in a batch.

    Attributes:
        samples: The number of noisy passes per text.
    """

    classifier: Classifier
    samples: int
    shape: BatchShape
    deterministic: bool = False

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[TextScores]:
        """Return the scores of each text, in order."""
        torch.manual_seed(seed)
        ids = token_ids(self.classifier, rows)
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        results: dict[int, TextScores] = {}
        for start in range(0, len(order), self.shape.texts):
            batch = order[start : start + self.shape.texts]
            scores = self._batch([ids[index] for index in batch])
            results.update(zip(batch, scores, strict=True))
        return [results[index] for index in range(len(ids))]

    def _batch(self, ids: list[Tensor]) -> Iterator[TextScores]:
        """Yield the scores of the texts with these token ids, each [L]."""
        device = self.classifier.device
        padded = pad_sequence(ids, batch_first=True, padding_value=self.classifier.pad_id)
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True).to(device)
        with torch.no_grad():
            embeddings = self.classifier.embedding(padded.to(device))
            target = self._logits(embeddings, mask).argmax(dim=1)
        raw = torch.linalg.vector_norm(self._gradients(embeddings, mask, target=target), dim=-1)
        raw = raw * mask
        scores = (raw / raw.sum(dim=1, keepdim=True)).tolist()
        for row, shares in zip(ids, scores, strict=True):
            yield TextScores(tuple(shares[: len(row)]), self.samples)

    def _gradients(self, embeddings: Tensor, mask: Tensor, *, target: Tensor) -> Tensor:
        """Return the mean gradient [B, L, H] at embeddings [B, L, H], for target labels [B]."""
        # NoiseTunnel takes one number as the deviation of an input tensor, so all texts of a batch
        # share the batch's range. It is close to each text's own range, and lets Captum use larger
        # batches than one text.
        spread = float(embeddings.max() - embeddings.min())
        gradients: Tensor = NoiseTunnel(Saliency(self._logits)).attribute(
            embeddings,
            nt_type="smoothgrad",
            nt_samples=self.samples,
            nt_samples_batch_size=self.shape.samples,
            stdevs=NOISE * spread,
            target=target,
            additional_forward_args=(mask,),
            abs=False,
        )
        return gradients

    def _logits(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return the logits [B, C] of embeddings [B, L, H] with attention mask [B, L]."""
        logits: Tensor = self.classifier.module(
            inputs_embeds=embeddings, attention_mask=mask
        ).logits
        return logits
