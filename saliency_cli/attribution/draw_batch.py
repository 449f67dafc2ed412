"""The draws of a batch as tensors, for a method to evaluate.

Shapes: D draws in the batch, L tokens of its longest text, H dimensions of the embedding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from saliency_cli.attribution.noise import keyed_normal
from saliency_cli.model.devices import to_device
from saliency_cli.model.passes import CleanPass, PassRequest


@dataclass(frozen=True, slots=True)
class DrawResults:
    """What D draws contribute.

    Attributes:
        values: Contributions [D, L, H]; what is after the end of a text is ignored.
        flips: For each draw, how many of its passes predict another label than the clean pass.
    """

    values: Tensor
    flips: list[int]


@dataclass(frozen=True, slots=True)
class DrawBatch:
    """Draws of one or more texts that are evaluated together; tensors are built when asked for.

    Attributes:
        requests: The texts in order, each with its target and its number of draws.
        numbers: The number of each draw within its text, D in all.
    """

    requests: Sequence[PassRequest]
    numbers: Sequence[int]

    @property
    def texts(self) -> list[CleanPass]:
        """The clean pass of each draw's text, D in all."""
        return [request.clean for request in self.requests for _ in range(request.draws)]

    def draw_numbers(self) -> Tensor:
        """Return the number of each draw within its text, [D]."""
        return self._on_device(torch.tensor(self.numbers))

    def embeddings(self) -> Tensor:
        """Return the clean embeddings E [D, L, H], zero after the end of each text."""
        return pad_sequence([text.embedding for text in self.texts], batch_first=True)

    def embedding_ranges(self) -> Tensor:
        """Return max E − min E of each draw's text, [D]."""
        return self._on_device(torch.tensor([text.embedding_range for text in self.texts]))

    def baselines(self) -> Tensor:
        """Return the baseline's embeddings B [D, L, H], zero after the end of each text.

        Raises:
            ValueError: The method declares no baseline, so none was computed.
        """
        found = [text.baseline for text in self.texts]
        return pad_sequence([_required(each) for each in found], batch_first=True)

    def normal_noise(self, *, seed: int) -> Tensor:
        """Return standard normal noise ε [D, L, H], zero after the end of each text.

        It depends on the seed, the text's token ids and the draw's number alone.
        """
        embedding = self.requests[0].clean.embedding
        noise = keyed_normal(
            [text.encoding.ids for text in self.texts],
            self.numbers,
            seed=seed,
            width=embedding.shape[-1],
            pinned=embedding.is_cuda,
        )
        return self._on_device(noise)

    def _on_device(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.requests[0].clean.embedding.device)


def _required(baseline: Tensor | None) -> Tensor:
    if baseline is None:
        raise ValueError("the method declares no baseline")
    return baseline
