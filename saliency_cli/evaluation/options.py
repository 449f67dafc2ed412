"""Options of `saliency evaluate` that no other command has."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from saliency_cli.settings import Option

METHODS = "smoothgrad,gradient,integrated-gradients,smoothgrad-squared,vargrad,occlusion,random"
LIMIT = 200


@dataclass(frozen=True, slots=True)
class EvaluationChoice:
    """Which methods are compared, over how many texts, and by which metrics."""

    panel: ClassVar[str] = "Evaluation"

    methods: Annotated[
        str,
        Option(
            "Methods to compare, separated by commas; each may have options of its own, as in "
            "gradient:propagation=standard,reduction=l2.",
            more="([the methods](methods.md)) An option that is not given is the method's default.",
            metavar="A,B,…",
        ),
    ] = METHODS
    limit: Annotated[
        int,
        Option("Number of texts, an even sample of TEXTS.", metavar="N", minimum=2),
    ] = LIMIT
    metrics: Annotated[
        str | None,
        Option(
            "What is measured, separated by commas.",
            more="([the metrics](evaluate.md))",
            metavar="A,B,…",
            default="all but `planted`",
        ),
    ] = None
    planted_steps: Annotated[
        int | None,
        Option(
            "Measure `planted`, too, with a copy of the model that is trained for N steps.",
            metavar="N",
            default="300, where --metrics names `planted`",
            minimum=1,
            maximum=100_000,
        ),
    ] = None
    planted_layers: Annotated[
        int | None,
        Option(
            "Train only the last K layers of the copy, and its head.",
            metavar="K",
            default="all weights",
            minimum=0,
        ),
    ] = None
    seed: Annotated[
        int,
        Option(
            "Seed of the methods and metrics that draw at random.",
            metavar="N",
            minimum=0,
            maximum=2**62,
        ),
    ] = 0
