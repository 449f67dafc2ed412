"""Whether the scores of masked tokens add up to what the model's logit loses without them.

Shapes: T texts, M masks, L tokens of the longest text, K for T × M lines.
"""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from saliency_cli.attribution.noise import keyed_bits
from saliency_cli.evaluation.bootstrap import mean_figure
from saliency_cli.evaluation.metrics.interface import Metric, Values
from saliency_cli.evaluation.orders import padded
from saliency_cli.evaluation.subject import Subject, as_lists

MASKS = 30
"""Random sets of a text's tokens, each token with probability 1/2; the same for all methods."""
LEAST_CHANGE = 1e-12
"""Mean square of the logit's change below which a text cannot be explained."""


class Infidelity(Metric):
    """The share of the logit's changes that sums of scores leave unexplained: 0 is best.

    For random masks I, the scores φ and the fall Δ of the logit: mean (β I·φ − Δ)² / mean Δ², with
    the factor β of each text that makes it least, since scores are shares (Yeh et al. 2019,
    section 4; β as in Captum's `infidelity(normalize=True)`, whose number is divided by mean Δ²
    here, so that texts and models can be compared).
    """

    name: ClassVar[str] = "infidelity"
    title: ClassVar[str] = "share of the logit's changes that sums of scores leave unexplained"
    source: ClassVar[str] = "Yeh et al. 2019"
    pitfall: ClassVar[str] = (
        "It asks for sums of scores, which no scores of single tokens can give where words act "
        "together, and texts without half of their tokens are unlike those that the model knows."
    )
    better: ClassVar[Literal["higher", "lower"] | None] = "lower"

    def reference(self, subject: Subject) -> Values:
        """Return by how much the label's logit falls for each text and mask, T lists of M."""
        texts, removed = masks(subject)
        logits = subject.outputs(texts, removed, by="mask")["logit"]
        return {"falls": as_lists((subject.clean["logit"][texts] - logits).view(-1, MASKS))}

    def measure(self, subject: Subject, name: str, reference: Values) -> Values:
        """Return the unexplained share of each text that has one.

        Args:
            subject: Texts, scores and model.
            name: The method.
            reference: The falls.
        """
        _texts, removed = masks(subject)
        longest = subject.passes.tokens.longest
        scores = padded(subject.scores[name], longest=longest).double()
        lines = removed.view(len(scores), MASKS, longest).double()
        sums = (lines @ scores.masked_fill(~subject.passes.removable, 0)[..., None])[..., 0]
        shares = unexplained(sums, torch.tensor(reference["falls"], dtype=torch.float64))
        return {"unexplained": as_lists(shares[~shares.isnan()])}

    def summarise(self, values: Values, reference: Values) -> dict[str, Any]:  # noqa: ARG002
        """Return the mean share.

        Args:
            values: What `measure` returned.
            reference: Of no meaning here.
        """
        return dict(mean_figure(values["unexplained"]))


def masks(subject: Subject) -> tuple[Tensor, Tensor]:
    """Return the text of each line, [K], and the tokens that are masked in it, [K, L].

    Args:
        subject: The texts; the seed of the evaluation is the masks' key.
    """
    tokens, removable = subject.passes.tokens, subject.passes.removable
    texts = torch.arange(len(tokens)).repeat_interleave(MASKS)
    draws = torch.arange(MASKS).repeat(len(tokens))
    bits = keyed_bits(
        tokens.select(texts), draws, seed=subject.choice.seed, count=removable.shape[1]
    )
    return texts, removable[texts] & (bits.cpu() < 0)


def unexplained(sums: Tensor, falls: Tensor) -> Tensor:
    """Return the share of each text, [T]; NaN where the logit does not change.

    Args:
        sums: The sum of the scores of the masked tokens, [T, M].
        falls: By how much the logit falls, [T, M].
    """
    squares = falls.square().mean(dim=1)
    power = sums.square().mean(dim=1)
    factor = (sums * falls).mean(dim=1) / power.clamp(min=LEAST_CHANGE)
    left = (factor[:, None] * sums - falls).square().mean(dim=1)
    return torch.where(squares > LEAST_CHANGE, left / squares, torch.nan)
