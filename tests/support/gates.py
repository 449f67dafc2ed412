"""Results of gates that ended in each possible way, one of them with hostile text."""

from dataclasses import dataclass
from typing import Any

from saliency_cli.gates import Gate, Measured, Part, judge
from tests.support.runs import HOSTILE


@dataclass(frozen=True)
class Constant:
    """One number by all names, or none."""

    value: float | None

    def measure(self, name: str, part: Part | None) -> Measured:
        """Return the number."""
        return Measured(self.value, name == "accuracy", f"{name}, {part}" if part else "")


def every_outcome() -> list[dict[str, Any]]:
    """Return the entries of a manifest."""
    hostile = Part("lang", HOSTILE)
    results = (
        *judge([Gate("accuracy", "<", 0.9)], Constant(0.95)),
        *judge([Gate("accuracy", "<", 0.96, level="warn")], Constant(0.95)),
        *judge([Gate("accuracy", "<", 0.9, part=hostile, level="warn")], Constant(None)),
        *judge([Gate("mae", "<", 0.9)], Constant(None)),
        *judge([Gate("accuracy", "<", -0.01, "+")], Constant(0.94), baseline=Constant(0.9583)),
    )
    return [each.as_json() for each in results]
