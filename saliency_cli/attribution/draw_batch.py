"""The draws of a batch as tensors, for a method to evaluate.

Shapes: D draws in the batch, L tokens of its longest text, H dimensions of the embedding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from saliency_cli.attribution.noise import keyed_normal
from saliency_cli.model.devices import to_device
from saliency_cli.model.heads import Targets
from saliency_cli.model.passes import CleanPasses
from saliency_cli.model.token_batch import TokenBatch


@dataclass(frozen=True, slots=True)
class DrawResults:
    """What D draws contribute.

    Attributes:
        values: Contributions [D, L, H]; what is after the end of a text is ignored.
        flips: For each draw, how many of its passes predict another label than the clean pass,
            [D], on the CPU.
    """

    values: Tensor
    flips: Tensor


@dataclass(frozen=True, slots=True)
class DrawBatch:
    """Draws of one or more texts that are evaluated together; tensors are built when asked for.

    Attributes:
        clean: The clean passes of the texts.
        texts: The text of each draw, its number in `clean`, [D], on the CPU.
        targets: What F is about, for each draw.
        numbers: The number of each draw within its text, [D], on the CPU.
    """

    clean: CleanPasses
    texts: Tensor
    targets: Targets
    numbers: Tensor

    @property
    def tokens(self) -> TokenBatch:
        """The tokens of each draw's text."""
        return self.clean.tokens.select(self.texts)

    def draw_numbers(self) -> Tensor:
        """Return the number of each draw within its text, [D]."""
        return self._on_device(self.numbers)

    def embeddings(self) -> Tensor:
        """Return the clean embeddings E [D, L, H]."""
        return self._of_draws(self.clean.embeddings)

    def embedding_ranges(self) -> Tensor:
        """Return max E − min E of each draw's text, [D]."""
        return self.clean.ranges[self._on_device(self.texts)]

    def baselines(self) -> Tensor:
        """Return the baseline's embeddings B [D, L, H].

        Raises:
            ValueError: The method declares no baseline, so none was computed.
        """
        if self.clean.baselines is None:
            raise ValueError("the method declares no baseline")
        return self._of_draws(self.clean.baselines)

    def factors(self) -> Tensor:
        """Return what `dot` multiplies gradients with, [D, L, H]."""
        return self._of_draws(self.clean.factors)

    def normal_noise(self, *, seed: int) -> Tensor:
        """Return standard normal noise ε [D, L, H].

        It depends on the seed, the text's token ids and the draw's number alone.
        """
        width = self.clean.embeddings.shape[-1]
        return keyed_normal(self.tokens, self.numbers, seed=seed, width=width)

    def flips(self, logits: Tensor) -> Tensor:
        """Return how many passes of each draw decide differently from the clean pass, [D].

        Args:
            logits: The logits of the passes, [D, passes, C], on the CPU.
        """
        passes = logits.shape[1]
        every = torch.arange(len(self.numbers)).repeat_interleave(passes)
        decided = self.targets.select(every).decisions(logits.flatten(0, 1))
        clean = self.targets.decisions(self.clean.logits[self.texts])
        return (decided.view(-1, passes) != clean[:, None]).sum(dim=1)

    def _of_draws(self, each: Tensor) -> Tensor:
        """Return the rows of the draws' texts, as wide as the longest of them."""
        longest = int(self.clean.tokens.lengths[self.texts].max())
        return each[:, :longest][self._on_device(self.texts)]

    def _on_device(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.clean.embeddings.device)
