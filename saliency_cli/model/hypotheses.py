"""A classifier made of a model of natural language inference: one hypothesis for each label.

The text is the premise. The logit of a label is the logit with which its hypothesis follows from
the text. All passes of a batch are one batch of the model.

Shapes: B texts, L tokens of the longest, K hypotheses, T tokens of the longest of them, M = L + T
tokens of a pair, H embedding dimensions, C labels of the model.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from saliency_cli.errors import CheckpointError
from saliency_cli.model.embedding_hook import (
    LayerArgs,
    LayerKwargs,
    layers_sharing_weight,
    token_ids,
)
from saliency_cli.model.output_logits import read_logits


@dataclass(frozen=True, slots=True)
class Tail:
    """What the tokenizer puts behind the tokens of a text that a hypothesis follows.

    Attributes:
        ids: Token ids of the hypothesis and of the special tokens beside it.
        type_ids: Their segment ids.
    """

    ids: tuple[int, ...]
    type_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entailment:
    """The logits that say how far a hypothesis follows from a text.

    Attributes:
        label: The index of entailment among the model's labels.
        against: The index of the label whose logit is subtracted; None for none.
    """

    label: int
    against: int | None = None

    def of(self, logits: Tensor) -> Tensor:
        """Return how far the hypothesis of each pair follows from its text, [N].

        Args:
            logits: The logits of N pairs, [N, C].
        """
        entailed = logits[:, self.label]
        return entailed if self.against is None else entailed - logits[:, self.against]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The pairs of a batch, those of a text next to each other.

    Attributes:
        ids: Token ids [B·K, M].
        type_ids: Segment ids [B·K, M].
        mask: True for a token, False for padding, [B·K, M].
        is_text: True for a token of the text, [B·K, M, 1].
        embeddings: The text's embeddings, and zeros elsewhere, [B·K, M, H].
    """

    ids: Tensor
    type_ids: Tensor
    mask: Tensor
    is_text: Tensor
    embeddings: Tensor

    def embed(self, ids: Tensor | None, output: Tensor) -> Tensor:
        """Return the output of an embedding layer with the text's embeddings in their places.

        Args:
            ids: The ids that the layer got, [B·K, M]: those of the pairs or, in a decoder, those
                shifted right by one.
            output: Its output, [B·K, M, H].

        Raises:
            CheckpointError: It got other ids.
        """
        is_text, embeddings = self.is_text, self.embeddings.to(output.dtype)
        if ids is None or ids.shape != self.ids.shape or not torch.equal(ids, self.ids):
            if ids is None or not torch.equal(ids[:, 1:], self.ids[:, :-1]):
                raise CheckpointError(
                    "the model embeds other ids than those of text and hypothesis"
                )
            is_text = pad(is_text[:, :-1], (0, 0, 1, 0))
            embeddings = pad(embeddings[:, :-1], (0, 0, 1, 0))
        return torch.where(is_text, embeddings, output)


class TextEmbedding(nn.Module):
    """The model's embedding of the texts alone: the layer that is explained."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings [B, L, H] of texts.

        Args:
            ids: Token ids [B, L].
        """
        embeddings: Tensor = self.layer(ids)
        return embeddings


class HypothesisClassifier(nn.Module):
    """Reads each text together with each hypothesis, and returns a logit for each hypothesis.

    Attributes:
        model: The model of natural language inference.
        tails: What follows each text, one for each label.
        passes_per_text: K, by which the memory of a pass is multiplied.
        longest: T.
        entailment: How the model's logits are read.
        inputs: The names of the tensors that the model's `forward` takes.
    """

    def __init__(
        self,
        model: nn.Module,
        embedding: nn.Module,
        tails: Sequence[Tail],
        *,
        entailment: Entailment,
        pad_id: int,
        inputs: Sequence[str],
    ) -> None:
        """Wrap a model.

        Args:
            model: The model of natural language inference.
            embedding: Its token embedding.
            tails: What follows each text, one for each label.
            entailment: How the model's logits are read.
            pad_id: The id after the end of a pair.
            inputs: The names of the tensors that the model's `forward` takes.
        """
        super().__init__()
        self.model = model
        self.text_embedding = TextEmbedding(embedding)
        self.tails = tuple(tails)
        self.passes_per_text = len(tails)
        self.entailment, self._pad_id, self.inputs = entailment, pad_id, tuple(inputs)
        lengths = [len(tail.ids) for tail in tails]
        self.longest = max(lengths)
        self._lengths: Tensor
        self._ids: Tensor
        self._type_ids: Tensor
        self.register_buffer("_lengths", torch.tensor(lengths), persistent=False)
        for name, column in (("_ids", "ids"), ("_type_ids", "type_ids")):
            rows = [[*getattr(tail, column)] for tail in tails]
            padded = [[*row, *[0] * (self.longest - len(row))] for row in rows]
            self.register_buffer(name, torch.tensor(padded), persistent=False)

    def get_input_embeddings(self) -> nn.Module:
        """Return the layer that embeds the texts."""
        return self.text_embedding

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return the logit of each hypothesis, [B, K].

        Args:
            input_ids: Token ids of the texts, [B, L], padded on the right.
            attention_mask: 1 for tokens, 0 for padding, [B, L].
            token_type_ids: Segment ids, [B, L].
        """
        if token_type_ids is None:
            token_type_ids = torch.zeros_like(input_ids)
        embedded = self.text_embedding(input_ids)
        pairs = self._pairs(input_ids, token_type_ids, attention_mask.sum(dim=1), embedded)
        inputs = {
            "input_ids": pairs.ids,
            "attention_mask": pairs.mask.long(),
            "token_type_ids": pairs.type_ids,
        }
        with self._embedding_texts(pairs):
            output = self.model(**{name: inputs[name] for name in self.inputs})
        entailed = self.entailment.of(read_logits(output))
        return entailed.view(len(input_ids), self.passes_per_text)

    def _pairs(self, ids: Tensor, type_ids: Tensor, lengths: Tensor, embedded: Tensor) -> _Pairs:
        """Return the pairs of texts [B, L], of `lengths` [B], and all hypotheses."""
        texts, passes, width = len(ids), self.passes_per_text, ids.shape[1] + self.longest
        places = torch.arange(width, device=ids.device)
        is_text = (places < lengths[:, None])[:, None].expand(texts, passes, width)
        after = (places - lengths[:, None])[:, None].expand(texts, passes, width)
        is_tail = ~is_text & (after < self._lengths[:, None])
        after = after.clamp(0, self.longest - 1)

        def joined(of_text: Tensor, of_tails: Tensor, fill: int) -> Tensor:
            tails = of_tails.expand(texts, passes, self.longest).gather(2, after)
            wide = pad(of_text, (0, self.longest))[:, None]
            return torch.where(is_text, wide, tails.masked_fill(~is_tail, fill)).flatten(0, 1)

        # Padded, not indexed: an index has no deterministic backward pass on CUDA that is quick.
        wide = pad(embedded, (0, 0, 0, self.longest))
        return _Pairs(
            joined(ids, self._ids, self._pad_id),
            joined(type_ids, self._type_ids, 0),
            (is_text | is_tail).flatten(0, 1),
            is_text.flatten(0, 1)[..., None],
            wide.repeat_interleave(passes, dim=0),
        )

    @contextmanager
    def _embedding_texts(self, pairs: _Pairs) -> Iterator[None]:
        """Let the model's embedding layers return the texts' embeddings from `text_embedding`.

        That layer's output may be changed: with noise, or as a leaf of the gradient. The model gets
        ids all the same, since some models find their last token by them.
        """

        def swap(_: nn.Module, args: LayerArgs, kwargs: LayerKwargs, output: Tensor) -> Tensor:
            return pairs.embed(token_ids(args, kwargs), output)

        with ExitStack() as handles:
            for layer in layers_sharing_weight(self.model, self.text_embedding.layer):
                handle = layer.register_forward_hook(swap, with_kwargs=True)
                handles.callback(handle.remove)
            yield
