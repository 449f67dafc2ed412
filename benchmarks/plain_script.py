"""SmoothGrad as a good engineer writes it in an afternoon.

Texts sorted by length, padded batches of a fixed number of tokens, one clean pass and one pass with
all noisy copies, `torch.randn` on the device, autograd on `inputs_embeds`. No standard errors, no
promises: scores depend on the batch through the generator's state.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

import torch
from contenders import NOISE, TextScores, token_ids
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from saliency_cli.model.classifier import Classifier
from saliency_cli.records import Row

BATCH_TOKENS = {"cpu": 2048, "cuda": 65_536}
"""Tokens of a batch, noisy copies counted."""


@dataclass(frozen=True, slots=True)
class PlainScript:
    """The script.

    Attributes:
        classifier: The model; only its module, tokenizer and embedding are used.
        samples: The number of noisy passes per text.
    """

    classifier: Classifier
    samples: int
    deterministic: bool = False

    def __call__(self, rows: Sequence[Row], *, seed: int) -> list[TextScores]:
        """Return the scores of each text, in order."""
        torch.manual_seed(seed)
        ids = token_ids(self.classifier, rows)
        results: dict[int, TextScores] = {}
        for batch in self._batches([len(row) for row in ids]):
            scores = self._scores([ids[index] for index in batch])
            for index, shares in zip(batch, scores.tolist(), strict=True):
                results[index] = TextScores(tuple(shares[: len(ids[index])]), self.samples)
        return [results[index] for index in range(len(ids))]

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Yield the numbers of texts that are run together, shortest first."""
        most = BATCH_TOKENS[self.classifier.device.type]
        batch: list[int] = []
        for index in sorted(range(len(lengths)), key=lengths.__getitem__):
            if batch and (len(batch) + 1) * self.samples * lengths[index] > most:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _scores(self, ids: Sequence[Tensor]) -> Tensor:
        """Return the normalised scores [B, L] of texts with these token ids."""
        device, module = self.classifier.device, self.classifier.module
        padded = pad_sequence([*ids], batch_first=True, padding_value=self.classifier.pad_id)
        mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True).to(device)
        with torch.no_grad():
            embeddings = self.classifier.embedding(padded.to(device))
            logits = module(inputs_embeds=embeddings, attention_mask=mask).logits
        clean, there = embeddings.float(), mask[..., None].bool()
        ranges = clean.masked_fill(~there, -inf).amax((1, 2)) - clean.masked_fill(~there, inf).amin(
            (1, 2)
        )
        copies = (len(ids), self.samples, *clean.shape[1:])
        noise = torch.randn(copies, device=device) * (NOISE * ranges)[:, None, None, None]
        leaf = (clean[:, None] + noise).flatten(0, 1).requires_grad_()
        noisy = module(
            inputs_embeds=leaf.to(embeddings.dtype),
            attention_mask=mask.repeat_interleave(self.samples, 0),
        ).logits.float()
        labels = logits.argmax(-1).repeat_interleave(self.samples)
        (gradients,) = torch.autograd.grad(noisy.gather(1, labels[:, None]).sum(), leaf)
        raw = gradients.view(copies).mean(dim=1).norm(dim=-1) * mask
        scores: Tensor = raw / raw.sum(dim=-1, keepdim=True)
        return scores
