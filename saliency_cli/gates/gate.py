"""One gate, as `--fail-on` has it: a number, the side on which it fails, and the bound."""

import json
import re
from dataclasses import dataclass
from math import isfinite
from typing import Literal, NamedTuple, TypeAlias

from saliency_cli.safe_text import escape_json

Sign: TypeAlias = Literal["<", ">"]
Level: TypeAlias = Literal["error", "warn"]
Relation: TypeAlias = Literal["", "+", "*"]
BASELINE = "baseline"
"""What stands in a bound for the number of the same name in another run."""
_NEEDS_QUOTES = re.compile(r'[\]="\s]')


class Part(NamedTuple):
    """The rows that a number is about: those with one value of a column, or with one label."""

    column: str
    value: str

    def __str__(self) -> str:
        """Return the part as a gate names it: `lang=de`, with quotes where they are needed."""
        return f"{_quoted(self.column)}={_quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Gate:
    """A condition under which a run fails.

    Attributes:
        name: The number that is compared.
        sign: "<" fails a run whose number is below the bound, ">" one whose number is above it.
        bound: The bound, or what is added to the baseline's number, or what that is multiplied by.
        relation: "" if the bound is a number; "+" or "*" if it depends on the baseline.
        part: The slice or the label whose number it is; None of the whole run.
        level: "warn" reports a gate that is not met, "error" fails the command too.
    """

    name: str
    sign: Sign
    bound: float
    relation: Relation = ""
    part: Part | None = None
    level: Level = "error"

    @property
    def title(self) -> str:
        """The name of the number, with the slice or the label."""
        return self.name if self.part is None else f"{self.name}[{self.part}]"

    def bound_for(self, baseline: float | None) -> float | None:
        """Return the bound as a number; None if it depends on a baseline that has no number."""
        if not self.relation:
            return self.bound
        if baseline is None:
            return None
        bound = baseline + self.bound if self.relation == "+" else baseline * self.bound
        return bound if isfinite(bound) else None

    def is_met(self, value: float, bound: float) -> bool:
        """Whether a number is on the right side of a bound, or equal to it.

        Args:
            value: The number.
            bound: What `bound_for` returned.
        """
        return value >= bound if self.sign == "<" else value <= bound

    def __str__(self) -> str:
        """Return the expression, which `parse_gates` reads as this gate."""
        level = "" if self.level == "error" else f"{self.level}:"
        return f"{level}{self.title}{self.sign}{self._bound_text()}"

    def _bound_text(self) -> str:
        number = number_text(abs(self.bound) if self.relation == "+" else self.bound)
        if not self.relation:
            return number
        if self.relation == "*":
            return f"{BASELINE}*{number}"
        sign = "-" if self.bound < 0 else "+"
        return BASELINE if not self.bound else f"{BASELINE}{sign}{number}"


@dataclass(frozen=True, slots=True)
class GateNames:
    """Which numbers a gate can bound, for the parser and its messages.

    Attributes:
        whole: Names of the numbers about all rows.
        of_slices: Names of those about the rows with one value of a column.
        of_labels: Names of those about one label.
        owner: What has the numbers, for messages.
        example: A gate, for messages.
        has_baseline: Whether a bound may depend on another run.
    """

    whole: tuple[str, ...]
    of_slices: tuple[str, ...] = ()
    of_labels: tuple[str, ...] = ()
    owner: str = "the summary"
    example: str = "accuracy<0.9"
    has_baseline: bool = True


def number_text(number: float) -> str:
    """Return the shortest text that is read as the same number: 3, 0.95, 1e-05."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def _quoted(text: str) -> str:
    """Return a column or a value, as a JSON string if it could be misread without quotes."""
    if text and text.isprintable() and not _NEEDS_QUOTES.search(text):
        return text
    return escape_json(json.dumps(text, ensure_ascii=False)).replace("\n", "\\n")
