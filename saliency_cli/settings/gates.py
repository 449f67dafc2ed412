"""Options of the gates that a command judges its numbers by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from saliency_cli.settings.option import NOTHING, Option


@dataclass(frozen=True, slots=True)
class GateChoice:
    """Which bounds the numbers of a run must keep; the results stand in its manifest."""

    panel: ClassVar[str] = "Gates"

    fail_on: Annotated[
        list[str] | None,
        Option(
            "Exit with 1 if a number is too low or too high: 'accuracy<0.9'.",
            more="May be given several times: a name, `<` or `>`, and a number; "
            "`accuracy[lang=de]<0.9` is about a slice, `warn:accuracy<0.97` only warns, "
            "`accuracy<baseline-0.01` needs `--baseline-run`. A number that could not be measured "
            "fails its gate too. ([gates](gates.md))",
            metavar="EXPR",
            default="none",
            effect=NOTHING,
        ),
    ] = None
    baseline_run: Annotated[
        Path | None,
        Option(
            "A finished run whose numbers are the baseline of gates such as "
            "'accuracy<baseline-0.01'.",
            metavar="DIR",
            default="none",
            effect=NOTHING,
        ),
    ] = None
    allow_unknown_gold: Annotated[
        bool,
        Option(
            "Let a gate on the accuracy pass although the model does not have some gold labels.",
            default="such a gate fails",
            effect=NOTHING,
        ),
    ] = False
