"""Gates for CI, `--fail-on`: bounds on the numbers of a run's summary."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Literal, TypeAlias, cast

from saliency_cli.errors import UsageError
from saliency_cli.runs.summary import Summary
from saliency_cli.safe_text import excerpt

Sign: TypeAlias = Literal["<", ">"]
GATE_FAILED = 1
"""The exit code of a run that fails a gate; it takes precedence over that of quarantined rows."""
NAMES = tuple(field.name for field in fields(Summary))
"""The numbers that a gate can bound."""
_EXPRESSION = re.compile(r"\s*(?P<name>[^\s<>]+)\s*(?P<sign>[<>])\s*(?P<bound>[-+.\w]+)\s*")


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition under which a run fails.

    Attributes:
        name: The number of the summary that is compared.
        sign: "<" fails a run whose number is below the bound, ">" one whose number is above it.
        bound: The bound; a number equal to it passes.
    """

    name: str
    sign: Sign
    bound: float

    def failure(self, summary: Summary, *, partly: bool = False) -> str | None:
        """Return why a run fails the gate, or None if it passes.

        A number that could not be measured (accuracy without gold labels) fails: otherwise a gate
        could pass without having checked anything.

        Args:
            summary: The numbers of the run.
            partly: Whether the accuracy may leave out rows with an unknown gold label.
        """
        is_partial = summary.accuracy is not None and summary.gold_unknown > 0
        if self.name == "accuracy" and is_partial and not partly:
            return (
                f"accuracy covers {summary.gold_known} of {summary.gold_rows} rows with a gold "
                f"label: {summary.gold_unknown} have labels that the model does not have "
                "(--allow-unknown-gold)"
            )
        return self.failure_of(getattr(summary, self.name))

    def failure_of(self, value: float | None) -> str | None:
        """Return why a number fails the gate, or None if it passes."""
        if value is None:
            return f"{self.name} could not be measured, and must not be {self}"
        failed = value < self.bound if self.sign == "<" else value > self.bound
        return f"{self.name} is {value:g}, and must not be {self}" if failed else None

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def parse_gates(
    expressions: Iterable[str],
    *,
    names: Sequence[str] = NAMES,
    owner: str = "the summary",
    example: str = "accuracy<0.9",
) -> tuple[Gate, ...]:
    """Return the gates that `--fail-on` was given as: a name, < or >, a number.

    Args:
        expressions: The values of the option.
        names: The names of the numbers that there are.
        owner: What has these numbers, for messages.
        example: A gate, for messages.

    Raises:
        UsageError: an expression has another form, or a name that is not one of `names`.
    """
    return tuple(_parse(each, names, owner=owner, example=example) for each in expressions)


def _parse(expression: str, names: Sequence[str], *, owner: str, example: str) -> Gate:
    match = _EXPRESSION.fullmatch(expression)
    bound = None if match is None else _finite_number(match["bound"])
    if match is None or bound is None:
        raise UsageError(
            f"--fail-on {excerpt(expression)}: not a name, < or >, and a number",
            f"--fail-on '{example}', with quotes for the shell",
        )
    if match["name"] not in names:
        raise UsageError(
            f"--fail-on {excerpt(expression)}: {owner} has no such name",
            f"use one of {', '.join(names)}",
        )
    return Gate(match["name"], cast("Sign", match["sign"]), bound)


def _finite_number(text: str) -> float | None:
    """Return the number, or None if the text is none; `float` alone takes nan, inf and 1_0."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and "_" not in text else None
