"""Runs the command line in forks of one warm process, so that a hundred runs import torch once.

The process explains one text before it forks. After that it has a single thread and no open file of
a run, so a fork is safe. `test_a_forked_run_writes_the_files_of_a_fresh_process` compares the two.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.shell import Outcome

_SERVER = """
import json, os, resource, sys, traceback
import saliency_cli.__main__, saliency_cli.cli.app, saliency_cli.cli.pipeline

def child(request):
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(request[name], flags), number)
    if request["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_size"],) * 2)
    os.environ.update(request["environment"])
    sys.argv = ["saliency", *request["arguments"]]
    sys.stdin = open(0, closefd=False)
    code = 0
    try:
        saliency_cli.__main__.main()
    except SystemExit as error:
        code = error.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

def warm_up(arguments):
    sys.argv = ["saliency", *arguments]
    try:
        saliency_cli.cli.app.app()
    except SystemExit as error:
        assert not error.code

with open(os.devnull, "w") as sys.stdout:
    warm_up(json.loads(sys.stdin.readline()))
sys.stdout = sys.__stdout__
assert len(os.listdir("/proc/self/task")) == 1
requests = sys.stdin
for line in iter(requests.readline, ""):
    request = json.loads(line)
    if "arguments" in request:
        reply = os.fork() or child(request)
    else:
        reply = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
    print(reply, flush=True)
os._exit(0)
"""


@dataclass(slots=True)
class Running:
    """A forked process that runs the command line.

    Attributes:
        pid: Its process ID.
        home: The folder with its standard output and error.
        server: The process that forked it.
    """

    pid: int
    home: Path
    server: "WarmProcess"

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal. It has no effect on a process that has ended but was not waited for."""
        os.kill(self.pid, number)

    @property
    def ended(self) -> bool:
        """Whether the process has ended, waited for or not."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii")
        except FileNotFoundError:
            return True
        return state.rpartition(")")[2].split()[0] == "Z"

    def exit_code(self) -> int:
        """Wait for the end; return the exit code, negative for a signal."""
        return self.server.request(wait=self.pid)

    def outcome(self) -> Outcome:
        """Wait for the end; return the exit code, standard output and error."""
        code = self.exit_code()
        stdout, stderr = ((self.home / name).read_text() for name in ("stdout", "stderr"))
        return Outcome(code, stdout, stderr)


@dataclass(slots=True)
class WarmProcess:
    """The process that forks.

    Attributes:
        process: The process, which reads requests from its standard input, one JSON object a line.
        home: The folder for the output of the forks.
        started: Number of forks so far.
    """

    process: subprocess.Popen[str]
    home: Path
    started: int = field(default=0)

    def start(
        self,
        arguments: list[str],
        *,
        stdin: Path = Path(os.devnull),
        file_size: int | None = None,
        environment: Mapping[str, str] | None = None,
        terminal: str | None = None,
    ) -> Running:
        """Start the command line in a fork.

        Args:
            arguments: Arguments of `saliency`.
            stdin: File or named pipe for standard input.
            file_size: Maximum size in bytes of a file that it may write (RLIMIT_FSIZE).
            environment: Environment variables to add.
            terminal: Path of a terminal, for standard input, output and error.
        """
        self.started += 1
        home = self.home / str(self.started)
        home.mkdir()
        pid = self.request(
            arguments=arguments,
            stdin=terminal or str(stdin),
            stdout=terminal or str(home / "stdout"),
            stderr=terminal or str(home / "stderr"),
            file_size=file_size,
            environment=environment or {},
        )
        return Running(pid, home, self)

    def run(self, arguments: list[str], **options: object) -> Outcome:
        """Run the command line to its end.

        Args:
            arguments: Arguments of `saliency`.
            options: Those of `start`.
        """
        return self.start(arguments, **options).outcome()  # type: ignore[arg-type]

    def request(self, **request: object) -> int:
        """Send a request; return the reply, a process ID or an exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def start_warm_process(home: Path, model: Path) -> Iterator[WarmProcess]:
    """Yield a process that has explained one text.

    Args:
        home: The folder for the output of the forks.
        model: The model that explains the text.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(["show", str(model), "free call now", "--quiet"]) + "\n")
        yield WarmProcess(process, home)
        process.stdin.close()
