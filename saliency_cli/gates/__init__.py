"""Gates: bounds on the numbers of a run, of an evaluation or of a comparison, and how they ended.

`parse_gates` reads what `--fail-on` was given, `judge` compares it with numbers. Whatever has
numbers implements `Figures`; it is the only thing that another source of numbers needs.
"""

from saliency_cli.gates.expressions import parse_gates
from saliency_cli.gates.gate import Gate, GateNames, Level, Part, Relation, Sign
from saliency_cli.gates.results import (
    Figures,
    GateResult,
    Measured,
    Outcome,
    in_order,
    judge,
    stored_results,
)

__all__ = [
    "Figures",
    "Gate",
    "GateNames",
    "GateResult",
    "Level",
    "Measured",
    "Outcome",
    "Part",
    "Relation",
    "Sign",
    "in_order",
    "judge",
    "parse_gates",
    "stored_results",
]
