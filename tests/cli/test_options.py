"""From declared settings to a command's signature, and from parsed values back to the groups."""

import inspect
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from saliency_cli.cli.app import app
from saliency_cli.cli.options import (
    Given,
    MethodParameters,
    Only,
    command,
    option_table,
    parameters_of,
)
from saliency_cli.errors import UsageError
from saliency_cli.settings import ConsoleChoice, ExecutionChoice, Option
from tests.support.shell import DONE, USAGE, Outcome, Shell


def even(text: str) -> int:
    if int(text) % 2:
        raise UsageError("--pair-size is odd", "give an even number")
    return int(text)


@dataclass(frozen=True, slots=True)
class Inner:
    """A group inside a group."""

    depth: Annotated[int, Option("How deep.", minimum=0, maximum=9)] = 3


@dataclass(frozen=True, slots=True)
class Outer:
    """A group with an argument, an option that is parsed, a flag and a field without an option."""

    where: Annotated[Path, Option("A place.", flag="WHERE", argument=True)]
    pair_size: Annotated[int, Option("An even number.", parse=even, metavar="N")] = 2
    loud: Annotated[bool, Option("Be loud.")] = False
    inner: Inner = Inner()
    derived: int = 7


@dataclass(frozen=True, slots=True)
class Opened:
    """A group whose options may be left open."""

    width: Annotated[int, Option("How wide.")] = 1


RECEIVED: list[tuple[Any, ...]] = []


@command
def build(
    outer: Outer,
    part: Annotated[ConsoleChoice, Only("debug")],
    open_choice: Given[Opened],
    parameters: Given[MethodParameters],
    single: Annotated[str, Option("One of its own.", choices=("a", "b"))] = "a",
) -> None:
    """Build something."""
    RECEIVED.append((outer, part, open_choice.values, parameters.values, single))


program = typer.Typer()
program.command()(build)


def received(*arguments: str) -> tuple[Any, ...]:
    RECEIVED.clear()
    result = CliRunner().invoke(program, ["there", *arguments])
    assert result.exit_code == 0, result.output
    return RECEIVED[0]


def test_defaults_are_those_of_the_fields() -> None:
    outer, part, open_choice, parameters, single = received()
    assert outer == Outer(Path("there"))
    assert part == ConsoleChoice()
    assert open_choice == {"width": None}
    assert set(parameters.values()) == {None}
    assert single == "a"


@given(depth=st.integers(0, 9), size=st.integers(0, 50).map(lambda n: 2 * n), loud=st.booleans())
def test_values_reach_the_fields_they_are_declared_at(depth: int, size: int, *, loud: bool) -> None:
    flags = ["--loud"] if loud else []
    outer, *_ = received("--depth", str(depth), "--pair-size", str(size), *flags)
    assert outer == Outer(Path("there"), size, loud, Inner(depth))


def test_given_tells_what_was_given() -> None:
    _, _, open_choice, parameters, _ = received("--width", "4", "--noise", "0.5")
    assert open_choice == {"width": 4}
    assert {name: value for name, value in parameters.items() if value is not None} == {
        "noise": 0.5
    }


@pytest.mark.parametrize(
    "arguments",
    [["--depth", "10"], ["--pair-size", "3"], ["--single", "c"], ["--quiet"], ["--derived", "1"]],
    ids=["out of bounds", "refused by parse", "no choice", "left out by Only", "no option"],
)
def test_what_is_not_declared_is_refused(arguments: list[str]) -> None:
    assert CliRunner().invoke(program, ["there", *arguments]).exit_code == USAGE


def test_the_table_has_a_row_for_each_option() -> None:
    table = option_table(build)
    assert "| `--pair-size N` | An even number. | `2` |" in table
    assert "`--derived`" not in table
    assert "WHERE" not in table


@pytest.mark.parametrize("options", [["--samples", "4"], ["--noise", "0"], ["--seed", "1"]])
def test_an_option_that_the_method_does_not_have_is_refused(options: list[str]) -> None:
    arguments = ["show", "nowhere.pt", "text", "--method", "gradient", *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == USAGE
    assert f"--method gradient has no {options[0]}" in result.stderr
    assert "hint: leave it out, or choose --method smoothgrad" in result.stderr


HOSTILE_NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "1e309",
    "-1",
    "-0.0",
    str(10**20),
    str(2**63 - 1),
    "9" * 400,
]


def numeric_options() -> Iterator[tuple[str, str]]:
    """Yield command and flag of each option of each command whose value may be a number."""
    for each in app.registered_commands:
        function = inspect.unwrap(each.callback)  # type: ignore[arg-type]
        for parameter in parameters_of(function):
            for setting in parameter.settings:
                kinds = {setting.type, *get_args(setting.type)}
                if kinds & {int, float}:
                    yield each.name or function.__name__, setting.flag


@pytest.fixture(scope="module")
def explained(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Return a shell whose `out` is a finished run, with a copy of it in `earlier`."""
    shell = Shell.beside(pristine, tmp_path_factory.mktemp("numbers"))
    assert shell.explain().exit_code == DONE
    shutil.copytree(shell.out, shell.home / "earlier")
    return shell


@pytest.mark.parametrize(("name", "flag"), [*numeric_options()])
def test_a_hostile_number_is_a_usage_error_or_works(explained: Shell, name: str, flag: str) -> None:
    evaluation = [explained.home / "evaluation", "--methods", "random", "--metrics", "agreement"]
    compared = [explained.home / "compared", "--overwrite"]
    places: dict[str, list[object]] = {
        "compare": [explained.home / "earlier", explained.out, "--out", *compared],
        "evaluate": [explained.model, explained.texts, "--overwrite", "--out", *evaluation],
        "explain": [explained.model, explained.texts, "--out", explained.out, "--overwrite"],
        "inspect": [explained.model],
        "report": [explained.out],
        "show": [explained.model, "free call now"],
    }
    for value in HOSTILE_NUMBERS:
        line = [name, *map(str, places[name]), f"{flag}={value}"]
        result = CliRunner().invoke(app, line)
        assert isinstance(result.exception, SystemExit | None), value
        assert result.exit_code in {DONE, USAGE}, value
        if "error: " in result.stderr:  # else it is Typer's message, after a line with the usage
            assert flag in Outcome(USAGE, "", result.stderr).refusal()


def test_numeric_options_of_six_commands_are_found() -> None:
    found = {*numeric_options()}
    assert {("explain", "--noise"), ("explain", "--workers"), ("explain", "--samples")} <= found
    names = {"compare", "evaluate", "explain", "inspect", "report", "show"}
    assert {name for name, _ in found} == names


@pytest.mark.parametrize("flag", ["--tolerance", "--threshold", "--gpus-per-worker", "--noise"])
def test_a_number_that_is_not_finite_is_refused(flag: str) -> None:
    for value in ("nan", "inf", "1e309"):
        line = ["explain", "nowhere.pt", "nowhere.csv", "--engine", "ray", f"{flag}={value}"]
        result = CliRunner().invoke(app, line)
        assert result.exit_code == USAGE
        assert flag in result.stderr


def test_more_passes_than_a_text_ever_needs_are_refused() -> None:
    for value, message in (("100001", "give 100,000 at most"), ("100000", "no such file")):
        line = ["show", "nowhere.pt", "free call now", "--samples", value]
        result = CliRunner().invoke(app, line)
        assert result.exit_code == USAGE
        assert message in result.stderr


def test_more_local_workers_than_a_machine_has_cores_are_refused() -> None:
    with pytest.raises(UsageError, match="--workers 10000: this machine can have 1024 at most"):
        ExecutionChoice(workers=10_000)
    assert ExecutionChoice(name="ray", workers=10_000).workers == 10_000
