"""An encoder of sentences with a linear head, as SetFit and sentence-transformers have it.

Shapes: B texts, L tokens of the longest, H dimensions of the encoder, W of the pooled text, C
labels.
"""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

POOLING_MODES = ("cls", "max", "mean")
"""The ways in which token embeddings become one; several are concatenated in this order."""
MASKED = -1e9
"""What sentence-transformers puts in the place of padding before it takes a maximum."""
LEAST_COUNT = 1e-9
"""The least number of tokens that it divides by."""


class Pooling(nn.Module):
    """Makes one vector [B, W] of token embeddings."""

    def __init__(self, modes: Sequence[str]) -> None:
        """Choose how it does.

        Args:
            modes: Some of `POOLING_MODES`, in their order.
        """
        super().__init__()
        self.modes = tuple(modes)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the pooled vectors.

        Args:
            tokens: The encoder's output, [B, L, H].
            mask: 1 for tokens, 0 for padding, [B, L].
        """
        weights = mask[..., None].to(tokens.dtype)
        found = {
            "cls": lambda: tokens[:, 0],
            "max": lambda: tokens.masked_fill(weights == 0, MASKED).amax(dim=1),
            "mean": lambda: (
                (tokens * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=LEAST_COUNT)
            ),
        }
        return torch.cat([found[mode]() for mode in self.modes], dim=1)


class Normalize(nn.Module):
    """Divides each vector by its length."""

    def forward(self, vectors: Tensor) -> Tensor:
        """Return vectors [B, W] of length 1."""
        return normalize(vectors, dim=-1)


class BinaryHead(nn.Module):
    """A head with one output z: the labels have the logits −z/2 and z/2.

    Their softmax is 1 − σ(z) and σ(z). Both logits depend on the text, so both can be explained.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, vectors: Tensor) -> Tensor:
        """Return the logits [B, 2] of vectors [B, W]."""
        half: Tensor = self.linear(vectors) / 2
        return torch.cat([-half, half], dim=1)


class SentenceClassifier(nn.Module):
    """Encoder, pooling, further layers and head, one after the other."""

    def __init__(
        self, encoder: nn.Module, pooling: Pooling, layers: Sequence[nn.Module], head: nn.Module
    ) -> None:
        """Put the parts together.

        Args:
            encoder: A transformers model that returns `last_hidden_state`.
            pooling: Makes one vector of its output.
            layers: What changes the vector, in order.
            head: Makes logits of it.
        """
        super().__init__()
        self.encoder, self.pooling = encoder, pooling
        self.layers, self.head = nn.Sequential(*layers), head
        self._inputs = frozenset(inspect.signature(encoder.forward).parameters)

    def get_input_embeddings(self) -> nn.Module:
        """Return the layer that embeds the tokens."""
        layer: nn.Module = self.encoder.get_input_embeddings()  # type: ignore[operator]
        return layer

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return the logits [B, C].

        Args:
            input_ids: Token ids, [B, L].
            attention_mask: 1 for tokens, 0 for padding, [B, L].
            token_type_ids: Segment ids, [B, L]; left out where the encoder takes none.
        """
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None and "token_type_ids" in self._inputs:
            inputs["token_type_ids"] = token_type_ids
        tokens = self.encoder(**inputs).last_hidden_state
        logits: Tensor = self.head(self.layers(self.pooling(tokens, attention_mask)))
        return logits
