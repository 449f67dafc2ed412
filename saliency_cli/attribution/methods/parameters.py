"""Parameters that several methods have, each declared once."""

from typing import Annotated, Literal, TypeAlias

from saliency_cli.errors import UsageError
from saliency_cli.settings import BaselineName, Option, UnitsName

SampleCount: TypeAlias = int | Literal["auto"]
FIRST_SAMPLES = 4
MOST_SAMPLES = 64
"""`--samples auto`: samples of the first round, and samples at which it stops."""


def parse_samples(text: str) -> SampleCount:
    """Return the number that `--samples` gives, or "auto".

    Raises:
        UsageError: The text is neither.
    """
    if text == "auto":
        return "auto"
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"--samples {text!r}: give a number of samples, or auto")
    return int(text)


def check_samples(
    samples: SampleCount, *, multiple: int = 1, least: int = 1, hint: str = "give an even number"
) -> None:
    """Check that a number of samples can be drawn.

    Args:
        samples: The number of samples, or "auto".
        multiple: Samples of one draw, which the number must be a multiple of.
        least: The smallest number that gives a result.
        hint: What to type instead of an odd number.

    Raises:
        UsageError: The number is too small, or odd where samples come in pairs.
    """
    if samples == "auto":
        return
    if samples < least:
        raise UsageError(f"--samples must be at least {least}")
    if samples % multiple:
        raise UsageError(f"--samples {samples} is odd, and antithetic samples come in pairs", hint)


def adaptive_total(
    samples: SampleCount,
    made: int,
    *,
    converged: bool,
    each: int = 1,
    first: int = FIRST_SAMPLES,
    most: int = MOST_SAMPLES,
) -> int:
    """Return how many draws a text needs in all; with auto, twice as many until it converges.

    Args:
        samples: The value of `--samples`.
        made: Draws that the text has already, 0 at first.
        converged: Whether their errors are within the tolerance.
        each: Samples of a draw.
        first: With auto, samples of the first round.
        most: With auto, samples at which it stops.
    """
    if samples != "auto":
        return samples // each
    if made == 0:
        return first // each
    return made if converged else min(2 * made, most // each)


def check_tolerance(tolerance: float) -> None:
    """Raise UsageError if errors can never be within a tolerance."""
    if not tolerance > 0:
        raise UsageError("--tolerance must be above 0")


def check_baseline(
    method: str, baseline: BaselineName, *, allowed: tuple[BaselineName, ...]
) -> None:
    """Check that a method has a baseline.

    Args:
        method: The method's name.
        baseline: The value of `--baseline`.
        allowed: The baselines that the method has.

    Raises:
        UsageError: It has not.
    """
    if baseline not in allowed:
        raise UsageError(
            f"--method {method} has no --baseline {baseline}",
            f"give --baseline {' or '.join(allowed)}",
        )


Samples: TypeAlias = Annotated[
    SampleCount,
    Option(
        "Random samples per text: a number, or auto, which draws more until the errors are small.",
        more="A sample is a noisy pass, of `lime` a masked text, of `shapley` an order of the "
        "units. With pairs, an even number or 1; 100,000 at most.",
        metavar="N|auto",
        maximum=100_000,
        parse=parse_samples,
    ),
]
Tolerance: TypeAlias = Annotated[
    float,
    Option(
        "Largest error at which --samples auto stops, as a share of the text's largest score.",
        metavar="SHARE",
    ),
]
Noise: TypeAlias = Annotated[
    float,
    Option(
        "Standard deviation of the noise S, as a share of the text's embedding range.",
        more="0 is the plain gradient.",
        metavar="S",
        minimum=0,
        maximum=10,
    ),
]
Seed: TypeAlias = Annotated[
    int, Option("Seed of what is drawn at random.", metavar="N", minimum=0, maximum=2**63 - 1)
]
Baseline: TypeAlias = Annotated[
    BaselineName,
    Option(
        "What takes the text's place: mask, the mask token (where there is none, the padding "
        "token); pad, the padding token; zero, zero embeddings; delete, nothing.",
        more="`zero` is for `integrated-gradients`, `delete` for methods without gradients.",
    ),
]
Units: TypeAlias = Annotated[
    UnitsName,
    Option("What is taken out of the text as one: a token, or a word with all its tokens."),
]
