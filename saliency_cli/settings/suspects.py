"""The option of what is done with shortcut suspects."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from saliency_cli.settings.option import PAGES, Option


@dataclass(frozen=True, slots=True)
class SuspectChoice:
    """Whether the model is asked what shortcut suspects do."""

    panel: ClassVar[str] = "Output"

    check_suspects: Annotated[
        bool,
        Option(
            "Take shortcut suspects out of their texts and put them into others: does the label "
            "follow?",
            more="([how](report.md#suspects-checked))",
            default="on",
            effect=PAGES,
        ),
    ] = True
