"""Whether the first tokens by score are enough: the fall when all others are taken out."""

from typing import ClassVar

from saliency_cli.evaluation.metrics.erasure import Erasure


class Sufficiency(Erasure):
    """The fall of the predicted label's probability with the first 1, 5, 10, 20 and 50 % alone.

    Tokens are ordered by score, those against the label last; special tokens stay.
    """

    name: ClassVar[str] = "sufficiency"
    title: ClassVar[str] = "sufficiency, 0 for a random order and 1 for the best one"
    source: ClassVar[str] = "DeYoung et al. 2020; Edin et al. 2024"
    pitfall: ClassVar[str] = (
        "A few words alone are further from the training data than any text, and a label that the "
        "model prefers without any word looks well explained by every method."
    )
    keep = True
