"""Errors at the command's boundary: each has its exit code, and 1 is the code of none."""

import os
import signal
import sys
from pathlib import Path

import pytest
import typer

from saliency_cli import errors
from saliency_cli.cli.error_boundary import boundary
from saliency_cli.cli.gates import GATE_FAILED
from saliency_cli.errors import InternalError, Interrupted, SaliencyError
from tests.support.shell import run

INTERNAL = 70


class UnprintableError(Exception):
    """An exception of a user's class, whose message cannot be made."""

    def __str__(self) -> str:
        raise LookupError


UNEXPECTED = (
    (ValueError("no\x1b[31mred\nsecond line"), r"ValueError: no\x1b[31mred"),
    (KeyError("text"), "KeyError: 'text'"),
    (MemoryError(), "MemoryError"),
    (EOFError(), "EOFError"),
    (SystemExit(0), "SystemExit: 0"),
    (UnprintableError(), "UnprintableError"),
    (RuntimeError("a" * 10_000), f"RuntimeError: {'a' * 186}…"),
)


@pytest.mark.parametrize(("error", "message"), UNEXPECTED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_exception_is_one_line_and_exit_code_70(
    error: BaseException, message: str, debug: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, boundary(debug=debug):
        raise error
    assert caught.value.exit_code == INTERNAL
    stdout, stderr = capsys.readouterr()
    *traceback, line, hint = stderr.splitlines()
    assert (stdout, line) == ("", f"error: internal error: {message}")
    assert hint == "hint: add --debug for the traceback, and report it"
    assert bool(traceback) == debug
    assert "\x1b" not in stderr


@pytest.mark.parametrize("error", [typer.Exit(4), typer.Abort(), typer.BadParameter("no")])
def test_what_typer_raises_passes(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, boundary(debug=False):
        raise error
    assert caught.value is error


def test_a_keyboard_interrupt_is_reported_as_a_signal() -> None:
    with pytest.raises(Interrupted) as caught, boundary(debug=False):
        raise KeyboardInterrupt
    assert caught.value.exit_code == 128 + signal.SIGINT


def test_no_error_has_the_exit_code_of_a_failed_gate() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {each.exit_code for each in kinds if issubclass(each, SaliencyError)}
    assert codes == {2, 3, INTERNAL, 74}
    assert GATE_FAILED not in codes


def test_what_is_printed_goes_to_stderr_while_a_command_runs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with boundary(debug=False):
        sys.stdout.write("inside\n")
    sys.stdout.write("after\n")
    assert capsys.readouterr() == ("after\n", "inside\n")


@pytest.mark.parametrize("options", [[], ["--debug"]])
def test_an_exception_before_any_command_is_an_internal_error(
    tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "typer.py").write_text("raise LookupError('a damaged\\x1b package')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    outcome = run(["report", str(tmp_path), *options], PYTHONPATH=path)
    assert outcome.exit_code == INTERNAL
    expected = InternalError.of(r"LookupError: a damaged\x1b package")
    assert outcome.stderr.endswith(f"error: {expected.message}\nhint: {expected.hint}\n")
    assert outcome.stderr.startswith("Traceback" if options else "error: ")
    assert "\x1b" not in outcome.stderr
