"""Run the command line in a test, in this process or in a new one."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from typer.testing import CliRunner

from saliency_cli.cli.app import app

DONE, USAGE, CHECKPOINT, QUARANTINED, OUTPUT = 0, 2, 3, 4, 74


@dataclass(frozen=True, slots=True)
class Outcome:
    """Exit code and output of a run of the command line."""

    exit_code: int
    stdout: str
    stderr: str

    def refusal(self) -> str:
        """Return standard error, after asserting that it is one message and at most one hint."""
        assert "Traceback" not in self.stderr
        assert self.stdout == ""
        error, *hints = self.stderr.removesuffix("\n").split("\n")
        assert error.startswith("error: ")
        assert len(hints) <= 1
        assert all(hint.startswith("hint: ") for hint in hints)
        assert all(line.isprintable() for line in (error, *hints))
        return self.stderr


@dataclass(frozen=True, slots=True)
class Shell:
    """A folder with a valid model and texts; `out` is the folder for the report."""

    home: Path

    @classmethod
    def beside(cls, model: Path, home: Path) -> "Shell":
        """Copy the model and write the texts into `home`, and return its Shell."""
        shutil.copytree(model, home / "bert")
        shell = cls(home)
        shell.write("texts.jsonl", '{"text": "free call now"}\n{"text": "ok"}\n')
        return shell

    @property
    def model(self) -> Path:
        """Folder of the model; a copy, so that a test may change it."""
        return self.home / "bert"

    @property
    def texts(self) -> Path:
        """A JSONL file with two texts."""
        return self.home / "texts.jsonl"

    @property
    def out(self) -> Path:
        """Folder for the report; it does not exist at first."""
        return self.home / "out"

    def arguments(self, *options: object, **changes: Path | str) -> list[str]:
        """Return the arguments of `saliency explain` for this folder.

        Args:
            options: More options, which are added at the end.
            changes: Other paths for `model`, `texts` or `out`.
        """
        chosen = {"model": self.model, "texts": self.texts, "out": self.out} | changes
        paths = [str(chosen["model"]), str(chosen["texts"]), "--out", str(chosen["out"])]
        return ["explain", *paths, "--device", "cpu", *map(str, options)]

    def explain(self, *options: object, **changes: Path | str) -> Outcome:
        """Run `saliency explain` in this process; see `arguments`."""
        return run_here(self.arguments(*options, **changes))

    def refused(self, exit_code: int, *options: object, **changes: Path | str) -> str:
        """Run `saliency explain`, which must fail, and return its error message and hint.

        Asserts the exit code, and that no folder is created for the report. See `arguments`.
        """
        existed = self.out.exists()
        outcome = self.explain(*options, **changes)
        assert (outcome.exit_code, self.out.exists()) == (exit_code, existed), outcome.stderr
        return outcome.refusal()

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file in the folder, and return its path."""
        path = self.home / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def change_config(self, **changes: Any) -> None:  # noqa: ANN401
        """Change values in the model's `config.json`."""
        path = self.model / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of the model."""
        return load_file(self.model / "model.safetensors")

    def as_state_dict(self, content: object) -> Path:
        """Replace the weights by a file `model.pt` that holds `content`, and return its path."""
        path = self.model / "model.pt"
        torch.save(content, path)
        (self.model / "model.safetensors").unlink(missing_ok=True)
        return path


def run(arguments: list[str], **environment: str) -> Outcome:
    """Run the command line in a new process, with changes to the environment."""
    done = subprocess.run(
        [sys.executable, "-m", "saliency_cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def run_here(arguments: list[str]) -> Outcome:
    """Run the command line in this process."""
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)
