"""Options of the input, and of which label is explained."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from saliency_cli.errors import UsageError
from saliency_cli.settings.names import FormatName
from saliency_cli.settings.option import RESOLVED, Option


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a row's parts; None takes the usual name where the input has it."""

    panel: ClassVar[str] = "Texts"

    text: Annotated[str, Option("Column of the text.", flag="--text-column", metavar="NAME")] = (
        "text"
    )
    pair: Annotated[
        str | None,
        Option(
            "Column of the second text of a pair, for models that read two.",
            flag="--pair-column",
            metavar="NAME",
            default="none",
        ),
    ] = None
    label: Annotated[
        str | None,
        Option(
            "Column of the gold label: a name, or an index.",
            flag="--label-column",
            metavar="NAME",
            default="`label`, where there is one",
        ),
    ] = None
    id: Annotated[
        str | None,
        Option(
            "Column of the row's id.",
            flag="--id-column",
            metavar="NAME",
            default="`id`, where there is one",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class TextsChoice:
    """Which texts are explained: a path, or "-" for standard input."""

    panel: ClassVar[str] = "Texts"

    path: Annotated[
        str,
        Option(
            "A .csv .tsv .jsonl .ndjson file, each also .gz, or - for standard input.",
            flag="TEXTS",
            argument=True,
            effect=RESOLVED,
        ),
    ]
    format: Annotated[
        FormatName | None,
        Option(
            "Format of TEXTS: csv, tsv or jsonl.",
            flag="--input-format",
            default="from the suffix; `-` is `jsonl`",
        ),
    ] = None
    columns: Columns = Columns()
    limit: Annotated[
        int | None, Option("Stop after N rows.", metavar="N", default="all rows", minimum=1)
    ] = None


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
