"""The draws of a batch as tensors, for a method to evaluate.

A line of the batch is a draw, or one step of a draw that is divided into steps.

Shapes: D lines of the batch, L tokens of its longest text, H dimensions of the embedding.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from saliency_cli.attribution.noise import keyed_bits, keyed_normal, keyed_ranks
from saliency_cli.attribution.units import tokens_per_unit
from saliency_cli.model.devices import to_device
from saliency_cli.model.heads import Targets
from saliency_cli.model.objectives import objective_values
from saliency_cli.model.passes import CleanPasses
from saliency_cli.model.token_batch import TokenBatch
from saliency_cli.settings import HeadName, ObjectiveName

OTHER_STREAM = 1 << 40
"""Added to the number of a draw, it gives random numbers that no draw of a run has."""


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
class Outputs:
    """F of D lines, each [D], in float64 on the device of the model.

    Attributes:
        perturbed: Of the text that the line's pass has read.
        clean: Of the text itself.
        baseline: Of the baseline, for a method that prepared its logits.
    """

    perturbed: Tensor
    clean: Tensor
    baseline: Tensor | None


@dataclass(frozen=True, slots=True)
class DrawBatch:
    """Draws of one or more texts that are evaluated together; tensors are built when asked for.

    Attributes:
        clean: The clean passes of the texts.
        texts: The text of each draw, its number in `clean`, [D], on the CPU.
        targets: What F is about, for each draw.
        numbers: The number of each draw within its text, [D], on the CPU.
        steps: The step of its draw that a line of the batch is, [D], on the CPU; 0 for a method
            whose draws have one step.
        evaluations: The evaluation of the model that a line is read from, from 0 on, [D], on the
            CPU: several targets of a text may share one, and are then next to each other.
    """

    clean: CleanPasses
    texts: Tensor
    targets: Targets
    numbers: Tensor
    steps: Tensor
    evaluations: Tensor

    @classmethod
    def of(cls, clean: CleanPasses, texts: Tensor, targets: Targets, numbers: Tensor) -> Self:
        """Return a batch of draws of one step, each with an evaluation of its own."""
        return cls(
            clean, texts, targets, numbers, torch.zeros_like(numbers), torch.arange(len(numbers))
        )

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
            ValueError: The method prepared no baseline.
        """
        if self.clean.baselines is None:
            raise ValueError("the method prepared no baseline")
        return self._of_draws(self.clean.baselines)

    def factors(self) -> Tensor:
        """Return what `dot` multiplies gradients with, [D, L, H]."""
        return self._of_draws(self.clean.factors)

    def normal_noise(self, *, seed: int, width: int | None = None) -> Tensor:
        """Return standard normal noise ε [D, L, W].

        It depends on the seed, the text's token ids and the draw's number alone.

        Args:
            seed: The run's seed.
            width: W, numbers of each token; by default H.
        """
        width = self.clean.embeddings.shape[-1] if width is None else width
        return keyed_normal(self.tokens, self.numbers, seed=seed, width=width)

    def scaled_noise(self, share: float, *, seed: int) -> Tensor:
        """Return noise [D, L, H] whose standard deviation is a share of each text's range.

        Args:
            share: Standard deviation, as a share of max E − min E.
            seed: The run's seed.
        """
        scales = share * self.embedding_ranges()
        return self.normal_noise(seed=seed).mul_(scales[:, None, None])

    def step_numbers(self) -> Tensor:
        """Return the step of its draw that each line is, [D]."""
        return self._on_device(self.steps)

    def random_integers(self, *, seed: int) -> Tensor:
        """Return a random integer from 0 to 2⁶³ − 1 for each draw, [D].

        It is independent of the draw's order of units.

        Args:
            seed: The run's seed.
        """
        numbers = self.numbers + OTHER_STREAM
        bits = keyed_bits(self.tokens, numbers, seed=seed, count=1)[:, 0]
        return bits & torch.iinfo(torch.int64).max

    def ranks_of_units(self, *, seed: int) -> Tensor:
        """Return the rank of each token's unit in a random order of each draw's units, [D, L].

        Args:
            seed: The run's seed.
        """
        ranks = keyed_ranks(self.tokens, self.numbers, self.unit_counts(), seed=seed)
        return ranks.gather(1, self.units().clamp(min=0))

    def unit_counts(self) -> Tensor:
        """Return the number of units of each line's text, [D]."""
        return self.units().amax(dim=1) + 1

    def tokens_per_unit(self) -> Tensor:
        """Return how many tokens the unit of each token has, [D, L], in float64."""
        return tokens_per_unit(self.units())

    def units(self) -> Tensor:
        """Return the number of each token's unit, [D, L] (`attribution.units`).

        Raises:
            ValueError: The method prepared no units.
        """
        if self.clean.units is None:
            raise ValueError("the method prepared no units")
        return self._of_draws(self.clean.units)

    def first_of_evaluations(self) -> Tensor:
        """Return the first line of each evaluation of the model, on the CPU."""
        before = self.evaluations.new_tensor([-1])
        return self.evaluations.diff(prepend=before).nonzero()[:, 0]

    def outputs(self, logits: Tensor, objective: ObjectiveName, *, head: HeadName) -> Outputs:
        """Return F of each line's text, beside those of the text and the baseline behind it.

        Args:
            logits: The logits of each line, [D, C], on the CPU.
            objective: What F is.
            head: How logits are read.
        """

        def values(logits: Tensor) -> Tensor:
            found = objective_values(logits.double(), self.targets, objective=objective, head=head)
            return self._on_device(found)

        baseline = self.clean.baseline_logits
        return Outputs(
            values(logits),
            values(self.clean.logits[self.texts]),
            None if baseline is None else values(baseline[self.texts]),
        )

    def no_flips(self) -> Tensor:
        """Return the flips of a method that counts none, [D]."""
        return torch.zeros_like(self.numbers)

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
