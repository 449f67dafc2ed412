"""Gates for CI: a bound on a number of the summary, and what fails it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from math import isfinite
from typing import Literal, TypeAlias, cast

from saliency_cli.errors import UsageError
from saliency_cli.runs.summary import Summary
from saliency_cli.safe_text import excerpt

Sign: TypeAlias = Literal["<", ">"]
GATE_FAILED = 1
"""The exit code of a run that fails a gate, whatever else there is to say of it."""
NAMES = tuple(field.name for field in fields(Summary))
_EXPRESSION = re.compile(r"\s*(?P<name>\w+)\s*(?P<sign>[<>])\s*(?P<bound>[-+.\w]+)\s*")


@dataclass(frozen=True, slots=True)
class Gate:
    """Fails a run whose number lies below the bound ("<"), or above it (">")."""

    name: str
    sign: Sign
    bound: float

    def failure(self, summary: Summary) -> str | None:
        """Say how a run fails the gate, or None where it passes.

        A number that could not be measured fails: a gate that nothing was held against is no gate.
        """
        value: float | None = getattr(summary, self.name)
        if value is None:
            return f"{self.name} could not be measured, and must not be {self}"
        failed = value < self.bound if self.sign == "<" else value > self.bound
        return f"{self.name} is {value:g}, and must not be {self}" if failed else None

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}"


def parse_gates(expressions: Iterable[str]) -> tuple[Gate, ...]:
    """Read what was given as `--fail-on`: a name of the summary, < or >, a number.

    Raises:
        UsageError: one of them is something else.
    """
    return tuple(map(_parse, expressions))


def _parse(expression: str) -> Gate:
    found = _EXPRESSION.fullmatch(expression)
    bound = None if found is None else _number(found["bound"])
    if found is None or bound is None:
        raise UsageError(
            f"--fail-on {excerpt(expression)}: give a name, < or >, and a number",
            "--fail-on 'accuracy<0.9', in quotes for the shell",
        )
    if found["name"] not in NAMES:
        raise UsageError(
            f"--fail-on {excerpt(expression)}: the summary has no such name",
            f"its names are {', '.join(NAMES)}",
        )
    return Gate(found["name"], cast("Sign", found["sign"]), bound)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and "_" not in text else None
