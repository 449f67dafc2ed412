"""Gates for CI, `--fail-on`: bounds on the numbers of a run's summary."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, TypeAlias, cast

from saliency_cli.errors import UsageError
from saliency_cli.runs.summary import NUMBERS, Summary
from saliency_cli.safe_text import excerpt, listed, visible

Sign: TypeAlias = Literal["<", ">"]
GATE_FAILED = 1
"""The exit code of a run that fails a gate; it takes precedence over that of quarantined rows."""
NAMES = NUMBERS
"""The numbers that a gate can bound."""
SLICE_NAMES = ("rows", "gold_rows", "gold_known", "accuracy", "ece", "mae")
"""The numbers of a slice that a gate can bound."""
SLICES_LISTED = 20
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_EXPRESSION = re.compile(
    r"\s*(?P<name>[^\s<>\[\]]+)"
    rf"(?:\[\s*(?P<column>{_QUOTED}|[^\]=\"]+?)\s*=\s*(?P<value>{_QUOTED}|[^\]\"]*?)\s*\])?"
    r"\s*(?P<sign>[<>])\s*(?P<bound>[-+.\w]+)\s*"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition under which a run fails.

    Attributes:
        name: The number of the summary that is compared.
        sign: "<" fails a run whose number is below the bound, ">" one whose number is above it.
        bound: The bound; a number equal to it passes.
        of: The column and the value of the slice whose number it is; None of the whole run.
    """

    name: str
    sign: Sign
    bound: float
    of: tuple[str, str] | None = None

    @property
    def title(self) -> str:
        """The name, with the slice."""
        return self.name if self.of is None else f"{self.name}[{_shown(*self.of)}]"

    def failure(self, summary: Summary, *, partly: bool = False) -> str | None:
        """Return why a run fails the gate, or None if it passes.

        A number that could not be measured (accuracy without gold labels) fails: otherwise a gate
        could pass without having checked anything.

        Args:
            summary: The numbers of the run.
            partly: Whether the accuracy may leave out rows with an unknown gold label.
        """
        figures = self._figures(summary)
        if figures is None:
            shown = (_shown(column, value) for column, of in summary.slices.items() for value in of)
            names = listed([*shown], most=SLICES_LISTED)
            return f"{self.title} could not be measured: there is no such slice; there are {names}"
        rows, known = figures["gold_rows"], figures["gold_known"]
        is_partial = figures["accuracy"] is not None and known < rows
        if self.name == "accuracy" and is_partial and not partly:
            return (
                f"{self.title} covers {known} of {rows} rows with a gold label: {rows - known} "
                "have labels that the model does not have (--allow-unknown-gold)"
            )
        return self.failure_of(figures[self.name])

    def _figures(self, summary: Summary) -> Mapping[str, Any] | None:
        """Return the numbers of the run, or of the slice; None if there is no such slice."""
        if self.of is None:
            return summary.numbers()
        column, value = self.of
        return summary.slices.get(column, {}).get(value)

    def failure_of(self, value: float | None) -> str | None:
        """Return why a number fails the gate, or None if it passes."""
        if value is None:
            return f"{self.title} could not be measured, and must not be {self}"
        failed = value < self.bound if self.sign == "<" else value > self.bound
        return f"{self.title} is {value:g}, and must not be {self}" if failed else None

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
    of = (
        None if match["column"] is None else (_unquoted(match["column"]), _unquoted(match["value"]))
    )
    allowed = names if of is None else SLICE_NAMES if names is NAMES else ()
    if match["name"] not in allowed:
        raise UsageError(
            f"--fail-on {excerpt(expression)}: {owner} has no such name",
            f"use one of {', '.join(allowed or names)}",
        )
    return Gate(match["name"], cast("Sign", match["sign"]), bound, of)


def _unquoted(text: str) -> str:
    """Return what is between quotes, as in a JSON string; else the text itself."""
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def _shown(column: str, value: str) -> str:
    """Return a slice as a gate names it; with quotes where it needs them."""
    return "=".join(
        visible(part)
        if part and not re.search(r'[\]="\s]', part)
        else visible(json.dumps(part, ensure_ascii=False))
        for part in (column, value)
    )


def _finite_number(text: str) -> float | None:
    """Return the number, or None if the text is none; `float` alone takes nan, inf and 1_0."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and "_" not in text else None
