"""How a gate ended: passed, failed, warned, or not measured."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal, Protocol, Self, TypeAlias, get_args

from saliency_cli.gates.gate import Gate, Level, Part
from saliency_cli.gates.sentences import comparison_sentence, unmeasured_sentence

Outcome: TypeAlias = Literal["failed", "not measured", "warned", "passed"]
"""In the order in which they are shown. A gate of level "warn" that is not met has warned."""
ORDER: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True)
class Measured:
    """A number that a gate is compared with.

    Attributes:
        value: The number; None if it could not be measured.
        is_share: Whether it is a share, which sentences give as a percentage.
        problem: Why the number cannot be judged, as the end of a sentence: "there is no such
            slice". Such a gate is not measured, whatever its value is.
    """

    value: float | None
    is_share: bool = False
    problem: str = ""


class Figures(Protocol):
    """Numbers by name: of a run, of an evaluation or of a comparison."""

    def measure(self, name: str, part: Part | None) -> Measured:
        """Return the number of this name.

        Args:
            name: One of the names that the gate was parsed with.
            part: The slice or the label; None for all rows.
        """


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate and how it ended.

    Attributes:
        gate: The expression, as `--fail-on` takes it.
        level: "error" or "warn".
        value: The number; None if there is none.
        bound: The bound, computed from the baseline where it depends on one; None if that has no
            number.
        baseline: The number of the baseline; None where the gate has none.
        is_share: Whether value and bound are shares.
        outcome: How the gate ended.
        sentence: The same in words.
    """

    gate: str
    level: Level
    value: float | None
    bound: float | None
    baseline: float | None
    is_share: bool
    outcome: Outcome
    sentence: str

    @property
    def fails(self) -> bool:
        """Whether the command ends with exit code 1: a gate that is not measured fails, too."""
        return self.level == "error" and self.outcome in {"failed", "not measured"}

    def as_json(self) -> dict[str, Any]:
        """Return the entry of a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Return the result that an entry holds; `is_result` has checked it."""
        return cls(**{name: entry[name] for name in cls.__slots__})


def judge(
    gates: Iterable[Gate], figures: Figures, *, baseline: Figures | None = None
) -> tuple[GateResult, ...]:
    """Return how each gate ends, in their order.

    A number that could not be measured (accuracy without gold labels) does not pass: otherwise a
    gate could pass without having checked anything.

    Args:
        gates: The gates.
        figures: The numbers that are judged.
        baseline: The numbers that relative bounds depend on.
    """
    return tuple(_judge(gate, figures, baseline) for gate in gates)


def _judge(gate: Gate, figures: Figures, baseline: Figures | None) -> GateResult:
    measured = figures.measure(gate.name, gate.part)
    before = None
    if gate.relation:
        before = Measured(None) if baseline is None else baseline.measure(gate.name, gate.part)
    bound = gate.bound_for(before.value if before is not None and not before.problem else None)
    value, share = measured.value, measured.is_share
    outcome: Outcome
    if measured.problem or value is None or bound is None:
        of_baseline = not measured.problem and value is not None and before is not None
        problem = before.problem if of_baseline and before is not None else measured.problem
        sentence = unmeasured_sentence(gate, problem, of_baseline=of_baseline)
        outcome = "not measured"
    else:
        outcome = _outcome(gate, met=gate.is_met(value, bound))
        number = None if before is None else before.value
        sentence = comparison_sentence(gate, value, bound, baseline=number, is_share=share)
    return GateResult(
        gate=str(gate),
        level=gate.level,
        value=value,
        bound=bound,
        baseline=None if before is None else before.value,
        is_share=share,
        outcome=outcome,
        sentence=sentence,
    )


def _outcome(gate: Gate, *, met: bool) -> Outcome:
    if met:
        return "passed"
    return "failed" if gate.level == "error" else "warned"


def in_order(results: Iterable[GateResult]) -> list[GateResult]:
    """Return results as they are shown: those that fail first, then those that warn."""
    return sorted(results, key=lambda each: (not each.fails, ORDER.index(each.outcome)))


def is_result(entry: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a JSON value is what `GateResult.as_json` returns."""
    if type(entry) is not dict or entry.keys() != {*GateResult.__slots__}:
        return False
    texts = (entry["gate"], entry["sentence"])
    numbers = (entry["value"], entry["bound"], entry["baseline"])
    return (
        all(type(each) is str for each in texts)
        and all(map(_is_number, numbers))
        and type(entry["is_share"]) is bool
        and entry["level"] in {"error", "warn"}
        and entry["outcome"] in ORDER
        and (entry["outcome"] == "not measured" or None not in {entry["value"], entry["bound"]})
    )


def _is_number(value: object) -> bool:
    """Whether a value is None or a finite number that a float can hold."""
    if value is None:
        return True
    if type(value) is int:
        return abs(value) <= 2**53
    return type(value) is float and isfinite(value)
