"""Gates: what an expression is read as, when a gate is met, and what is said of it."""

from dataclasses import dataclass, field, replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.errors import UsageError
from saliency_cli.gates import (
    Gate,
    GateNames,
    GateResult,
    Level,
    Measured,
    Part,
    Relation,
    in_order,
    judge,
    parse_gates,
)
from saliency_cli.runs.gates_schema import is_gate_result
from saliency_cli.safe_text import visible

NAMES = GateNames(("accuracy", "rows", "planted.lime:units=words"), ("accuracy",), ("recall",))
numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=8) | st.text(st.sampled_from("a ]\"=\\<>\n\ud800'[:"), max_size=5)
parts = st.builds(Part, texts, texts)
spaces = st.sampled_from(["", " ", "\t "])
FORM_HINT = "--fail-on 'accuracy<0.9', with quotes for the shell; 90 % is 0.9, and <= is <"


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    part = draw(st.none() | parts)
    name = draw(st.sampled_from(NAMES.whole)) if part is None else "accuracy"
    relation: Relation = draw(st.sampled_from(get_args(Relation)))
    bound = draw(numbers)
    if relation == "*":
        bound = abs(bound)
    level: Level = draw(st.sampled_from(get_args(Level)))
    return Gate(name, draw(st.sampled_from("<>")), bound, relation, part, level)


@dataclass(frozen=True)
class Table:
    """Numbers by name and part."""

    values: dict[str, Measured] = field(default_factory=dict)

    def measure(self, name: str, part: Part | None) -> Measured:
        return self.values[name if part is None else f"{name}[{part}]"]


def accuracy(value: float | None, problem: str = "") -> Table:
    return Table({"accuracy": Measured(value, is_share=True, problem=problem)})


def result(expression: str, figures: Table, baseline: Table | None = None) -> GateResult:
    (found,) = judge(parse_gates([expression], names=NAMES), figures, baseline=baseline)
    return found


@given(gates())
def test_every_printed_gate_is_read_as_itself(gate: Gate) -> None:
    assert parse_gates([str(gate)], names=NAMES) == (gate,)


@given(gates())
def test_printed_gates_are_one_line_that_can_be_stored(gate: Gate) -> None:
    assert visible(str(gate)) == str(gate).encode().decode()


@given(st.sampled_from(NAMES.whole), st.sampled_from("<>"), numbers, spaces)
def test_expression_is_read_with_any_spacing(
    name: str, sign: str, bound: float, space: str
) -> None:
    (gate,) = parse_gates([space.join(("", "warn", ":", name, sign, repr(bound), ""))], names=NAMES)
    assert (gate.name, gate.sign, gate.bound, gate.level) == (name, sign, bound, "warn")


@given(numbers, numbers)
def test_gate_is_met_up_to_its_bound(value: float, bound: float) -> None:
    below, above = (
        judge([Gate("accuracy", sign, bound)], accuracy(value))[0]  # type: ignore[arg-type]
        for sign in "<>"
    )
    assert below.outcome == ("failed" if value < bound else "passed")
    assert above.outcome == ("failed" if value > bound else "passed")


@given(gates(), st.none() | numbers, st.none() | numbers, st.booleans())
def test_results_come_back_from_json(
    gate: Gate, value: float | None, baseline: float | None, share: bool
) -> None:
    both = [Table({gate.title: Measured(each, is_share=share)}) for each in (value, baseline)]
    (found,) = judge([gate], both[0], baseline=both[1])
    assert GateResult.from_json(found.as_json()) == found
    assert is_gate_result(found.as_json())
    assert visible(found.sentence) == found.sentence.encode().decode()


@given(st.floats(0, 1), st.floats(0, 1))
def test_sentence_shows_different_numbers_as_different(value: float, bound: float) -> None:
    (found,) = judge([Gate("accuracy", "<", bound)], accuracy(value))
    shown = found.sentence.removeprefix("accuracy is ").split(", and must not be below ")
    assert (shown[0] == shown[1]) == (value == bound) or abs(value - bound) < 1e-15


def test_sentences_are_in_percent_where_the_number_is_a_share() -> None:
    assert result("accuracy<0.96", accuracy(0.9583)).sentence == (
        "accuracy is 95.8 %, and must not be below 96 %"
    )
    assert result("accuracy<0.9583", accuracy(0.95826)).sentence == (
        "accuracy is 95.826 %, and must not be below 95.83 %"
    )
    assert result("rows>2000", Table({"rows": Measured(12345)})).sentence == (
        "number of rows is 12,345, and must not be above 2,000"
    )
    of_label = Table({"recall[label=spam]": Measured(0.5, is_share=True)})
    assert result("recall[label=spam]<0.9", of_label).sentence == (
        "recall of label spam is 50 %, and must not be below 90 %"
    )


def test_bound_follows_the_baseline() -> None:
    before = accuracy(0.96)
    less = result("accuracy<baseline-0.01", accuracy(0.945), before)
    assert (less.outcome, less.bound, less.baseline) == ("failed", 0.96 - 0.01, 0.96)
    assert less.sentence == (
        "accuracy is 94.5 %, and must not be below 95 % (96 % in the baseline, less 1 point)"
    )
    assert result("accuracy<baseline*0.98", accuracy(0.945), before).outcome == "passed"
    assert result("accuracy < baseline", accuracy(0.96), before).outcome == "passed"
    assert result("accuracy>baseline + 0.02", accuracy(0.99), before).outcome == "failed"


def test_number_that_could_not_be_measured_does_not_pass() -> None:
    for found, where in (
        (result("accuracy<0", accuracy(None)), "accuracy could not be measured"),
        (result("accuracy<0", accuracy(0.5, "why")), "accuracy could not be measured: why"),
        (
            result("accuracy<baseline", accuracy(0.5), accuracy(None)),
            "accuracy could not be measured in the baseline",
        ),
        (
            result("accuracy<baseline", accuracy(0.5), accuracy(0.5, "why")),
            "accuracy could not be measured in the baseline: why",
        ),
    ):
        assert (found.outcome, found.sentence, found.fails) == ("not measured", where, True)


def test_warning_never_fails() -> None:
    assert [
        result(expression, accuracy(value)).fails
        for expression, value in (
            ("warn:accuracy<0.9", 0.5),
            ("warn:accuracy<0.9", None),
            ("error:accuracy<0.9", 0.5),
            ("accuracy<0.9", 0.95),
        )
    ] == [False, False, True, False]
    assert result("warn:accuracy<0.9", accuracy(0.5)).outcome == "warned"


def test_failed_gates_are_shown_first() -> None:
    found = [
        result("accuracy<0.1", accuracy(0.5)),
        result("warn:accuracy<0.9", accuracy(0.5)),
        result("warn:accuracy<0.9", accuracy(None)),
        result("accuracy<0.9", accuracy(None)),
        result("accuracy<0.9", accuracy(0.5)),
    ]
    assert in_order(found) == [found[4], found[3], found[2], found[1], found[0]]


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("acuracy<0.9", f"did you mean accuracy? It takes {', '.join(NAMES.whole)}"),
        ("recall<0.9", "name the label, as in recall[label=NAME]"),
        ("recall[lang=de]<0.9", "name the label, as in recall[label=NAME]"),
        ("rows[lang=de]>3", "use one of accuracy, recall"),
        ("exit_code>0", "use one of accuracy, rows, planted.lime:units=words"),
        ("fatal:accuracy<0.9", f"did you mean accuracy? It takes {', '.join(NAMES.whole)}"),
        (
            "accuracy<=0.9",
            FORM_HINT,
        ),
        (
            "accuracy<baseline-",
            FORM_HINT,
        ),
        (
            "accuracy<baseline--1",
            FORM_HINT,
        ),
        (
            "accuracy<baseline/2",
            FORM_HINT,
        ),
        (
            "accuracy<1-baseline",
            FORM_HINT,
        ),
        (
            'accuracy["\\q"=de]<0.9',
            FORM_HINT,
        ),
    ],
)
def test_refused_expression_has_a_hint(expression: str, hint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_gates([expression], names=NAMES)
    assert refused.value.hint == hint


def test_baseline_is_refused_where_there_is_none() -> None:
    with pytest.raises(UsageError, match="is compared with no baseline"):
        parse_gates(["accuracy<baseline"], names=replace(NAMES, has_baseline=False))
