"""What every command line promises: its exit codes, its messages, and what it leaves alone."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from tests.support.fuzz_arguments import OUT, CommandLine
from tests.support.fuzz_folders import State

ALLOWED = {0, 2, 3, 4, 74}
GATE_FAILED, ROWS_QUARANTINED = 1, 4
STARTED = {0, GATE_FAILED, ROWS_QUARANTINED}
LONGEST_LINES, LONGEST_LINE = 60, 6000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: its exit code, and what it wrote; the code is negative for a signal."""

    code: int
    stdout: bytes
    stderr: bytes


def problems(line: CommandLine, ended: Ended, state: State, differing: list[str]) -> Iterator[str]:
    """Yield what a run did wrong.

    Args:
        line: The command line.
        ended: How it ended.
        state: The state of the run folder before it.
        differing: What it changed; paths are relative to the folder that holds `m` and `w`.
    """
    yield from _code_problems(line, ended)
    yield from _text_problems(line, ended)
    unexpected = [path for path in differing if not (line.resumes and "/work/" in path)]
    if unexpected and ended.code in {2, 3} and not line.is_stream:
        yield f"exit code {ended.code}, and these changed: {unexpected}"
    for path in differing:
        if not _may_change(path, line, state):
            yield f"changed: {path!r}"


def _code_problems(line: CommandLine, ended: Ended) -> Iterator[str]:
    gated = any(each.startswith("--fail-on") for each in line.arguments)
    if ended.code == -signal.SIGKILL:
        yield "it did not end in time, or was killed"
    elif ended.code not in ALLOWED and not (gated and ended.code == GATE_FAILED):
        yield f"exit code {ended.code}"


def _text_problems(line: CommandLine, ended: Ended) -> Iterator[str]:
    """Yield what is wrong with standard output and standard error."""
    shows_help = {"--help", "-h", "--version"} & {*line.arguments} or len(line.arguments) < 3
    try:
        stderr, stdout = ended.stderr.decode(), ended.stdout.decode()
    except UnicodeDecodeError as error:
        yield f"output that is not UTF-8: {error}"
        return
    lines = stderr.splitlines()
    if any(not each.isprintable() for each in lines):
        yield f"standard error is not printable: {stderr!r:.500}"
    if "--debug" not in line.arguments:
        if "Traceback" in stderr + stdout:
            yield "a traceback"
        if len(lines) > LONGEST_LINES or max(map(len, lines), default=0) > LONGEST_LINE:
            yield f"{len(lines)} lines on standard error, the longest of {max(map(len, lines))}"
    if ended.code not in STARTED and not stderr.strip() and ended.code > 0:
        yield "a failure without a message"
    if stdout and not shows_help and not _is_data(line, ended, stdout):
        yield f"standard output: {stdout!r:.300}"


def _is_data(line: CommandLine, ended: Ended, stdout: str) -> bool:
    """Whether standard output is what the command is asked to print there."""
    name, as_json = line.arguments[0], "--json" in line.arguments
    if name == "report" or (name == "explain" and not as_json):
        return False
    if name == "export":
        # A record that is damaged is found when it is read, after the ones before it are written.
        return ended.code in {0, 2, 74} and not line.outputs
    if ended.code not in STARTED and name != "inspect":
        return False
    if as_json:
        with suppress(ValueError):
            return isinstance(json.loads(stdout), dict)
        return False
    return all(each.isprintable() for each in stdout.split("\n"))


def _may_change(path: str, line: CommandLine, state: State) -> bool:
    """Whether a command may change a path, which is relative to the folder of all runs."""
    full = os.path.normpath(f"/{path}")
    for out in line.outs:
        folder = os.path.normpath(f"/w/{out}")
        planted = state if out == OUT else State([], set())
        if f"{folder}/".startswith(f"{full}/"):  # the folder, or one above it, was made
            return full != folder or "" not in planted.foreign
        if full.startswith(f"{folder}/") and planted.may_change(full.removeprefix(f"{folder}/")):
            return True
    named = (output.replace("link/", "kept/", 1) for output in line.outputs)
    files = (os.path.normpath(f"/w/{output}") for output in named)
    return any(f"{file}/".startswith(f"{full}/") for file in files)  # the file, or one above it
