"""Three ways to SmoothGrad over the same texts: this tool, the article's loop, Captum.

Each does the whole job in its timed call: text in, one normalised score a token out.
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
from saliency_cli.model.classifier import Classifier
from saliency_cli.records import BadRow, Row

NOISE = 0.01
"""Standard deviation of the noise, as a share of the range: the same for all."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a contender says of one text, and the noisy passes that it took."""

    scores: tuple[float, ...]
    passes: int


class Contender(Protocol):
    """Anything that scores the tokens of texts."""

    @property
    def deterministic(self) -> bool:
        """Whether it promises the same bytes twice, and pays for it on CUDA."""

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[Scored]:
        """Score each text, in order."""


@dataclass(frozen=True, slots=True)
class Tool:
    """This tool's engine, as `saliency explain` runs it."""

    engine: Engine
    deterministic: bool = True

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[Scored]:
        """Score each text, in order."""
        maths = self.engine.maths
        seeded = replace(maths, sampling=replace(maths.sampling, seed=seed))
        scored = []
        for outcome in explain(rows, replace(self.engine, maths=seeded)):
            if isinstance(outcome, BadRow):
                raise SystemExit(f"row {outcome.ordinal} cannot be explained: {outcome.reason}")
            scored.append(Scored(outcome.attribution.scores, outcome.attribution.samples))
        return scored


@dataclass(frozen=True, slots=True)
class ArticleLoop:
    """One text at a time, one pass at a time, the gradients of all parameters taken along."""

    classifier: Classifier
    samples: int
    deterministic: bool = False

    def __post_init__(self) -> None:
        # As in a model that a user has just loaded; the tool's loader has switched them off.
        self.classifier.module.requires_grad_(requires_grad=True)

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[Scored]:
        """Score each text, in order."""
        torch.manual_seed(seed)
        return [Scored(self._scores(row.text), self.samples) for row in rows]

    def _scores(self, text: str) -> tuple[float, ...]:
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
        with _noisy(self.classifier.embedding) as seen:
            loss = cross_entropy(module(**inputs).logits, predicted)
        torch.autograd.backward(loss)
        gradient = seen[0].grad
        assert gradient is not None  # noqa: S101 - retain_grad() asked for it
        return gradient[0]


@contextmanager
def _noisy(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Add noise to the output of `layer` while it is open; the list holds what came out."""
    seen: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        spread = output.detach().max() - output.detach().min()
        noisy = output + torch.randn_like(output) * NOISE * spread
        noisy.retain_grad()
        seen.append(noisy)
        return noisy

    handle = layer.register_forward_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


@dataclass(frozen=True, slots=True)
class Shape:
    """How Captum's work is cut: texts in a batch, and samples of each in one pass."""

    texts: int
    samples: int

    def __str__(self) -> str:
        return f"{self.texts} × {self.samples} (texts × samples)"


@dataclass(frozen=True, slots=True)
class CaptumTunnel:
    """Captum's `NoiseTunnel(Saliency)` over `inputs_embeds`, texts of like length batched."""

    classifier: Classifier
    samples: int
    shape: Shape
    deterministic: bool = False

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[Scored]:
        """Score each text, in order."""
        torch.manual_seed(seed)
        classifier = self.classifier
        texts = [row.text for row in rows]
        encoded = classifier.tokenizer(texts, truncation=True, max_length=classifier.max_length)
        ids = [torch.tensor(row) for row in encoded["input_ids"]]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        scored: dict[int, Scored] = {}
        for start in range(0, len(order), self.shape.texts):
            batch = order[start : start + self.shape.texts]
            scores = self._batch([ids[index] for index in batch])
            scored.update(zip(batch, scores, strict=True))
        return [scored[index] for index in range(len(ids))]

    def _batch(self, ids: list[Tensor]) -> Iterator[Scored]:
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
            yield Scored(tuple(shares[: len(row)]), self.samples)

    def _gradients(self, embeddings: Tensor, mask: Tensor, *, target: Tensor) -> Tensor:
        # NoiseTunnel takes one number as the deviation of an input tensor, so all texts of a batch
        # share the batch's range: close to each one's own, and kinder than a batch of one text.
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
        logits: Tensor = self.classifier.module(
            inputs_embeds=embeddings, attention_mask=mask
        ).logits
        return logits
