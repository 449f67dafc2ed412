"""A linear model of F around a text (LIME; Ribeiro et al., 2016)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from saliency_cli.attribution.methods.parameters import (
    Samples,
    Seed,
    Tolerance,
    check_samples,
    check_tolerance,
)
from saliency_cli.attribution.methods.perturbation import PerturbationMethod
from saliency_cli.attribution.methods.sampled import SampledMethod

if TYPE_CHECKING:
    from torch import Tensor

    from saliency_cli.attribution.draw_batch import DrawBatch, Outputs
    from saliency_cli.attribution.reduction import Reduction

RIDGE = 1.0
"""Weight of the squared coefficients against the sum of the weighted squared errors."""
SHARPNESS = 8.0
"""A text at cosine distance d has the weight exp(−8 d²): the authors' program takes the root of
exp(−(100 d)² / 25²)."""
COLUMNS = 5
"""Sums of a token before its row of the matrix."""
MOST_ELEMENTS = 1 << 24
"""Elements of the matrices that are solved at once, 128 MiB in float64."""


@dataclass(frozen=True, slots=True)
class Lime(SampledMethod, PerturbationMethod):
    """The coefficients of a ridge regression of F on which units are present.

    Section 3 of "Why should I trust you?", as its authors' program has it for texts: a sample
    takes out s random units, s uniform in 1 … m; the first one is the text itself. Samples are
    weighted by their cosine similarity with the text, and the intercept is not penalised.

    What a sample contributes are the sums of the normal equations, so that samples are added up in
    batches, and each standard error comes from regressions without a block of samples.
    """

    name: ClassVar[str] = "lime"
    title: ClassVar[str] = "LIME"
    most_blocks: ClassVar[int] = 8
    first_samples: ClassVar[int] = 64
    most_samples: ClassVar[int] = 4096

    samples: Samples = 200
    tolerance: Tolerance = 0.1
    seed: Seed = 0

    def __post_init__(self) -> None:
        PerturbationMethod.__post_init__(self)
        check_tolerance(self.tolerance)
        check_samples(self.samples, least=2)

    def bytes_per_token(
        self,
        reduction: "Reduction | None",  # noqa: ARG002
        *,
        width: int,  # noqa: ARG002
        longest: int,
    ) -> int:
        """Return the bytes of a row of the normal equations in float64.

        Args:
            reduction: None.
            width: Of no meaning here.
            longest: The largest number of tokens of a text.
        """
        return 8 * (COLUMNS + longest)

    def present(self, batch: "DrawBatch") -> "Tensor":
        """Return whether each token's unit is in the text of each line, [D, L]."""
        left = batch.unit_counts() - self._taken_out(batch)
        return batch.ranks_of_units(seed=self.seed) < left[:, None]

    def _taken_out(self, batch: "DrawBatch") -> "Tensor":
        """Return how many units each line takes out, [D]: none of them in the first sample."""
        numbers = batch.draw_numbers()
        taken = 1 + batch.random_integers(seed=self.seed) % batch.unit_counts()
        return taken.where(numbers > 0, 0)

    def values(self, batch: "DrawBatch", present: "Tensor", outputs: "Outputs") -> "Tensor":
        """Return each sample's part of the normal equations, [D, L, 5 + L].

        The feature of a token of an n-token unit is 1/√n where the unit is present, so that the
        penalty is that of one coefficient for the unit.

        Args:
            batch: D lines.
            present: Whether each token's unit is in the text, [D, L].
            outputs: F of the texts.
        """
        from torch import cat, stack  # noqa: PLC0415

        scales = batch.tokens_per_unit().rsqrt()
        distances = 1 - (1 - self._taken_out(batch) / batch.unit_counts()).double().sqrt()
        weights = (-SHARPNESS * distances.square()).exp()[:, None]
        targets = weights * outputs.perturbed[:, None]
        features = present * scales
        weighted = weights * features
        everywhere = scales.new_ones(scales.shape)
        columns = (
            features * targets,
            weighted,
            everywhere * targets,
            everywhere * weights,
            scales,
        )
        return cat((stack(columns, dim=-1), weighted[..., None] * features[:, None]), dim=-1)

    def raw_scores(
        self,
        means: "Tensor",
        reduction: "Reduction | None",  # noqa: ARG002
        *,
        draws: int,
    ) -> "Tensor":
        """Return the coefficients [N, 1 + K, L]; a unit's is divided among its tokens.

        Args:
            means: Means of `contributions`, [N, 1 + K, L, W] with W ≥ 5 + L.
            reduction: None.
            draws: Samples behind the means.
        """
        from torch import cat  # noqa: PLC0415

        each = means[0].numel()
        parts = means.split(max(1, MOST_ELEMENTS // each))  # type: ignore[no-untyped-call]
        return cat([_coefficients(part, penalty=RIDGE / draws) for part in parts])


def _coefficients(means: "Tensor", *, penalty: float) -> "Tensor":
    """Return the coefficients [N, 1 + K, L] of ridge regressions without the intercept."""
    from torch import eye, linalg  # noqa: PLC0415

    length = means.shape[-2]
    products, features, targets, weights, scales = means[..., :COLUMNS].unbind(dim=-1)
    matrix = means[..., COLUMNS : COLUMNS + length]
    # Centred on the weighted means, which removes the intercept. Tokens without a unit, and
    # padding, have rows of zeros: their coefficients are 0.
    centre = features / weights.where(weights > 0, 1)
    matrix = matrix - centre[..., None] * features[..., None, :]
    matrix = matrix + penalty * eye(length, dtype=means.dtype, device=means.device)
    solved: Tensor = linalg.solve(matrix, products - centre * targets)
    return solved * scales
