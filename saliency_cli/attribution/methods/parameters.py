"""Parameters that several methods have, each declared once."""

from typing import Annotated, Literal, TypeAlias

from saliency_cli.errors import UsageError
from saliency_cli.settings import BaselineName, Option

SampleCount: TypeAlias = int | Literal["auto"]


def parse_samples(text: str) -> SampleCount:
    """Return the number that `--samples` gives, or "auto".

    Raises:
        UsageError: The text is neither.
    """
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"--samples {text!r}: give a number of passes, or auto")
    return int(text)


def check_samples(samples: SampleCount, *, multiple: int) -> None:
    """Check that a number of passes can be drawn.

    Args:
        samples: The number of passes, or "auto".
        multiple: Passes of one draw, which the number must be a multiple of.

    Raises:
        UsageError: The number is not positive, or odd where passes come in pairs.
    """
    if samples == "auto":
        return
    if samples < 1:
        raise UsageError("--samples must be at least 1")
    if samples % multiple:
        raise UsageError(
            f"--samples {samples} is odd, and antithetic passes come in pairs",
            "give an even number, or add --no-antithetic",
        )


Samples: TypeAlias = Annotated[
    SampleCount,
    Option(
        "Random passes per text: a number, or auto, which draws more until the errors are small.",
        more="With pairs, an even number or 1; 100,000 at most.",
        metavar="N|auto",
        maximum=100_000,
        parse=parse_samples,
    ),
]
Seed: TypeAlias = Annotated[
    int, Option("Seed of what is drawn at random.", metavar="N", minimum=0, maximum=2**63 - 1)
]
Baseline: TypeAlias = Annotated[
    BaselineName,
    Option("What takes the text's place in the baseline: the mask token, else the padding token."),
]
