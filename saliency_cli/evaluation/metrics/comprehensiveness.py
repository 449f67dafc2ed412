"""What the first tokens by score are worth: the fall when they are taken out."""

from typing import ClassVar

from saliency_cli.evaluation.metrics.erasure import Erasure


class Comprehensiveness(Erasure):
    """The fall of the predicted label's probability without the first 1, 5, 10, 20 and 50 %.

    Tokens are ordered by score, those against the label last; special tokens stay.
    """

    name: ClassVar[str] = "comprehensiveness"
    title: ClassVar[str] = "comprehensiveness, 0 for a random order and 1 for the best one"
    source: ClassVar[str] = "DeYoung et al. 2020; Edin et al. 2024"
    pitfall: ClassVar[str] = (
        "A text without some of its tokens is unlike the texts that the model was trained on, and "
        "the model may answer to the gap rather than to the missing word."
    )
    keep = False
