"""How a gate ended: passed, failed, warned, or not measured."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, Self, TypeAlias, get_args

from saliency_cli.gates.gate import Gate, Level, Part
from saliency_cli.gates.sentences import (
    comparison_sentence,
    distinct,
    figure,
    unmeasured_sentence,
)

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

    @property
    def value_text(self) -> str:
        """The number as text; a dash if there is none."""
        return self._texts[0]

    @property
    def bound_text(self) -> str:
        """The bound as text; a dash if there is none."""
        return self._texts[1]

    @property
    def _texts(self) -> tuple[str, str]:
        """Number and bound with the digits that show which is larger."""
        if self.value is not None and self.bound is not None:
            return distinct(self.value, self.bound, is_share=self.is_share)
        value, bound = (
            "–" if each is None else figure(each, is_share=self.is_share)
            for each in (self.value, self.bound)
        )
        return value, bound

    def as_json(self) -> dict[str, Any]:
        """Return the entry of a manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Return the result that an entry of a checked manifest holds."""
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


def stored_results(manifest: Mapping[str, Any]) -> tuple[GateResult, ...]:
    """Return the results that a checked manifest holds; none of a run without gates."""
    return tuple(map(GateResult.from_json, manifest.get("gates", ())))
