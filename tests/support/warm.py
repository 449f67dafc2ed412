"""The command line in forks of one warm process: a hundred runs import torch once.

The process has explained one text when it begins to fork; it then has one thread again and no file
of a run open. That its children do what a fresh process does is tested: their bytes are the same.
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

def child(order):
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(order[name], flags), number)
    if order["file_size"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"],) * 2)
    os.environ.update(order["environment"])
    sys.argv = ["saliency", *order["arguments"]]
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
orders = sys.stdin
for line in iter(orders.readline, ""):
    order = json.loads(line)
    if "arguments" in order:
        answer = os.fork() or child(order)
    else:
        answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
    print(answer, flush=True)
os._exit(0)
"""


@dataclass(slots=True)
class Running:
    """A run under way."""

    pid: int
    home: Path
    server: "Warm"

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; to a process that has ended and is not waited for, it does nothing."""
        os.kill(self.pid, number)

    @property
    def ended(self) -> bool:
        """Whether it has ended; it need not have been waited for."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii")
        except FileNotFoundError:
            return True
        return state.rpartition(")")[2].split()[0] == "Z"

    def exit_code(self) -> int:
        """Wait for the end."""
        return self.server.ask(wait=self.pid)

    def outcome(self) -> Outcome:
        """Wait for the end, and return what was said in files."""
        code = self.exit_code()
        stdout, stderr = ((self.home / name).read_text() for name in ("stdout", "stderr"))
        return Outcome(code, stdout, stderr)


@dataclass(slots=True)
class Warm:
    """The process that forks."""

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
        """Start the command line; it may write files of `file_size` bytes at most.

        Standard input, output and error are files, or all of them a `terminal`.
        """
        self.started += 1
        home = self.home / str(self.started)
        home.mkdir()
        pid = self.ask(
            arguments=arguments,
            stdin=terminal or str(stdin),
            stdout=terminal or str(home / "stdout"),
            stderr=terminal or str(home / "stderr"),
            file_size=file_size,
            environment=environment or {},
        )
        return Running(pid, home, self)

    def run(self, arguments: list[str], **options: object) -> Outcome:
        """Run the command line to its end."""
        return self.start(arguments, **options).outcome()  # type: ignore[arg-type]

    def ask(self, **order: object) -> int:
        """Have something done, and return the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def warmed(home: Path, model: Path) -> Iterator[Warm]:
    """Start the process, warm from one text; what its children say is kept under `home`."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(["show", str(model), "free call now", "--quiet"]) + "\n")
        yield Warm(process, home)
        process.stdin.close()
