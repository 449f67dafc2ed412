"""Standard output carries data only: what else writes to descriptor 1 reaches standard error."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PROGRAM = """
import os, sys
from saliency_cli.errors import OutputError
from saliency_cli.standard_streams import prepare_streams
from saliency_cli.stdout import reserved_stdout, write_data

prepare_streams()
with reserved_stdout(), open(sys.argv[1], "wb") as report, open(sys.argv[1] + ".log", "wb") as log:
    print("print;")
    sys.__stdout__ and sys.__stdout__.write("buffer;")
    os.write(1, b"descriptor;")
    os.system("echo process")
    report.write(b"report")
    log.write(b"log")
    try:
        write_data([b"data"])
    except OutputError as error:
        report.write(str(error).encode())
if sys.stdout:
    print(" and more", end="")
"""
CLOSED = "standard output cannot be written: it is closed"


def run(path: Path, redirections: str = "") -> tuple[str, str]:
    """Run the program with redirections of the shell; return standard output and error."""
    command = [
        "sh",
        "-c",
        f'exec "$@" {redirections}',
        "sh",
        sys.executable,
        "-c",
        PROGRAM,
        str(path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert path.with_name("report.log").read_text() == "log"
    return done.stdout, done.stderr


def test_only_data_reaches_standard_output(tmp_path: Path) -> None:
    stdout, stderr = run(tmp_path / "report")
    assert stdout == "data and more"
    assert all(each in stderr for each in ("print;", "buffer;", "descriptor;", "process"))
    assert (tmp_path / "report").read_text() == "report"


@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_gets_what_is_written_to_a_closed_stream(tmp_path: Path, redirections: str) -> None:
    stdout, _ = run(tmp_path / "report", redirections)
    is_closed = ">&-" in redirections.replace("2>&-", "")
    assert stdout == ("" if is_closed else "data and more")
    assert (tmp_path / "report").read_text() == "report" + CLOSED * is_closed
