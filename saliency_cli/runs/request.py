"""What a command asks for: the options of one run, or of one text."""

from dataclasses import dataclass

from saliency_cli.attribution.maths import Maths
from saliency_cli.inputs.options import TextsChoice
from saliency_cli.settings import (
    Compute,
    ExecutionChoice,
    ModelChoice,
    OutputChoice,
    PresetName,
    Sharding,
)


@dataclass(frozen=True, slots=True)
class Request:
    """One run of `saliency explain`; the only thing that the command line hands to it."""

    model: ModelChoice
    texts: TextsChoice
    compute: Compute
    maths: Maths
    output: OutputChoice = OutputChoice()
    preset: PresetName | None = None
    sharding: Sharding = Sharding()
    execution: ExecutionChoice = ExecutionChoice()


@dataclass(frozen=True, slots=True)
class Question:
    """One text, or pair, to be explained by `saliency show`."""

    model: ModelChoice
    compute: Compute
    maths: Maths
    text: str
    pair: str | None = None
