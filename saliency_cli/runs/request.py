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
    SuspectChoice,
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
    suspects: SuspectChoice = SuspectChoice()


@dataclass(frozen=True, slots=True)
class Question:
    """One text, or pair, to be explained by `saliency show`.

    Attributes:
        model: The model.
        compute: What the passes run on.
        maths: What is computed.
        text: The text.
        pair: The second text of a pair, or None.
        reduce: Whether the fewest words that keep the label are searched.
        flip: Whether the fewest changes that change the label are searched.
    """

    model: ModelChoice
    compute: Compute
    maths: Maths
    text: str
    pair: str | None = None
    reduce: bool = False
    flip: bool = False
