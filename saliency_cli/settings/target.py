"""Options of which label is explained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from saliency_cli.errors import UsageError
from saliency_cli.settings.option import Option


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """What is explained: "predicted", "gold", "all" or a label, by itself or against `contrast`.

    Of a multi-label head, "predicted" is every label whose probability reaches the threshold.
    """

    panel: ClassVar[str] = "Method"

    name: Annotated[
        str,
        Option(
            "The label that is explained: predicted, gold, all, or a label's name.",
            more="Of a multi-label model, `predicted` is every label that reaches the threshold.",
            flag="--target",
            metavar="predicted|gold|all|LABEL",
        ),
    ] = "predicted"
    contrast: Annotated[
        str | None,
        Option(
            "Explain why the target rather than this label: the difference of their logits.",
            more="Where this label is the target, the strongest other label takes its place.",
            metavar="LABEL",
            default="none",
        ),
    ] = None
    threshold: Annotated[
        float,
        Option(
            "Probability from which a label of a multi-label model counts as predicted.",
            metavar="P",
        ),
    ] = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UsageError("--threshold must lie between 0 and 1")
