"""Standard streams that are closed or full: each command has its exit code, and no traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import record, write_run
from tests.support.shell import DONE, OUTPUT, USAGE


def saliency(*arguments: object, redirect: str) -> tuple[int, str]:
    """Run a command with a redirection of the shell; return exit code and standard error."""
    command = [sys.executable, "-m", "saliency_cli", *map(str, arguments)]
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirect}', "sh", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run") / "run", [record(0, "free call now")])


@pytest.mark.parametrize("redirect", [">&-", ">/dev/full"])
def test_an_output_that_cannot_be_written_is_one_line_and_exit_code_74(
    folder: Path, redirect: str
) -> None:
    code, stderr = saliency("export", folder, "--format", "csv", redirect=redirect)
    assert code == OUTPUT
    assert stderr.startswith("error: standard output cannot be written: ")
    assert stderr.count("\n") == 1


def test_help_that_cannot_be_written_is_one_line_and_exit_code_74() -> None:
    assert saliency("--help", redirect=">/dev/full") == (
        OUTPUT, "error: No space left on device\n"
    )  # fmt: skip


def test_a_command_that_loads_a_model_does_the_same(bert_folder: Path) -> None:
    code, stderr = saliency("inspect", bert_folder, "--device", "cpu", redirect=">/dev/full")
    assert code == OUTPUT
    assert stderr.startswith("error: standard output cannot be written: ")
    assert stderr.count("\n") == 1


@pytest.mark.parametrize("redirect", ["2>&-", "2>/dev/full", ">&- 2>&- <&-"])
def test_standard_error_does_not_decide_the_exit_code(folder: Path, redirect: str) -> None:
    assert saliency("report", folder, redirect=redirect) == (DONE, "")
    assert saliency("report", folder / "nowhere", redirect=redirect) == (USAGE, "")
    assert saliency("nonsense", redirect=redirect) == (USAGE, "")


def test_nothing_is_printed_into_a_file_that_has_the_number_of_a_closed_stream(
    tmp_path: Path,
) -> None:
    """With all standard streams closed, the first file that is opened would get number 0."""
    program = (
        "import os, saliency_cli.standard_streams as streams\n"
        "streams.prepare_streams()\n"
        f"file = os.open({str(tmp_path / 'mine')!r}, os.O_WRONLY | os.O_CREAT)\n"
        "os.write(1, b'from a library'); os.write(2, b'from a library')\n"
        "from saliency_cli import signals\n"
        "from saliency_cli.errors import Interrupted\n"
        f"signals.exit_now(Interrupted({signal.SIGTERM:d}))\n"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program],
        check=False,
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert (tmp_path / "mine").read_bytes() == b""
