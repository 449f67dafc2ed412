"""Errors at the command's boundary: each has its exit code, and 1 is the code of none."""

import errno
import os
import signal
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from saliency_cli import errors
from saliency_cli.cli.app import app
from saliency_cli.cli.error_boundary import boundary
from saliency_cli.cli.gates import GATE_FAILED
from saliency_cli.errors import InternalError, Interrupted, SaliencyError
from tests.support.shell import OUTPUT, USAGE, run

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


@pytest.mark.parametrize(
    ("number", "code"),
    [
        *((each, OUTPUT) for each in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)),
        (errno.EFBIG, OUTPUT),
        *((each, USAGE) for each in (errno.ENAMETOOLONG, errno.EACCES, errno.ELOOP)),
    ],
)
def test_an_error_of_the_system_has_its_exit_code(
    number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, boundary(debug=False):
        raise OSError(number, os.strerror(number), "dir/file")
    assert caught.value.exit_code == code
    assert capsys.readouterr().err == f"error: dir/file: {os.strerror(number)}\n"


@pytest.mark.parametrize(
    ("arguments", "message", "path"),
    [
        ([], "missing argument 'MODEL'", "saliency explain"),
        (["--foo"], "no such option: --foo", "saliency explain"),
        (["m", "t", "--limit", "x"], "invalid value for '--limit'", "saliency explain"),
        (
            ["m", "t", "--dtype", "x"],
            "invalid value for '--dtype': 'x' is not one of",
            "saliency explain",
        ),
        (["m", "t", "--format\x1b[31m"], r"no such option: --format\x1b[31m", "saliency explain"),
    ],
)
def test_a_refused_command_line_is_one_line_and_a_hint(
    arguments: list[str], message: str, path: str
) -> None:
    result = CliRunner().invoke(app, ["explain", *arguments])
    assert (result.exit_code, result.stdout) == (USAGE, "")
    error, hint = result.stderr.splitlines()
    assert error.startswith(f"error: {message}")
    assert hint == f"hint: {path} --help lists what it takes"


@pytest.mark.parametrize("arguments", [["explian"], ["--foo"]])
def test_a_command_that_does_not_exist_is_one_line_and_a_hint(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (USAGE, "")
    assert len(result.stderr.splitlines()) == 2
    assert result.stderr.endswith("hint: saliency --help lists what it takes\n")


def test_no_argument_at_all_prints_the_help() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == USAGE
    assert "Usage: saliency" in result.output
    assert "error:" not in result.output


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
