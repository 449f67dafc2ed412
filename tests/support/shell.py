"""A person at the shell: runs the command line, and sees what it answers."""

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

DONE, USAGE, CHECKPOINT, OUTPUT = 0, 2, 3, 74


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a person at the shell sees of a run."""

    exit_code: int
    stdout: str
    stderr: str

    def refusal(self) -> str:
        """Return the message and its hint, having seen that there is nothing else."""
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
    """A folder with a sound model, sound texts and an empty place for the report."""

    home: Path

    @classmethod
    def beside(cls, model: Path, home: Path) -> "Shell":
        """Make the folder, with a copy of `model` in it."""
        shutil.copytree(model, home / "bert")
        shell = cls(home)
        shell.write("texts.jsonl", '{"text": "free call now"}\n{"text": "ok"}\n')
        return shell

    @property
    def model(self) -> Path:
        """The model's folder, this test's own."""
        return self.home / "bert"

    @property
    def texts(self) -> Path:
        """A file of two texts."""
        return self.home / "texts.jsonl"

    @property
    def out(self) -> Path:
        """Where the report goes."""
        return self.home / "out"

    def arguments(self, *options: object, **changes: Path | str) -> list[str]:
        """Return the command line of a sound run, with these changes and options."""
        positions = {"model": self.model, "texts": self.texts, "out": self.out} | changes
        paths = [str(positions["model"]), str(positions["texts"]), "--out", str(positions["out"])]
        return ["explain", *paths, "--device", "cpu", *map(str, options)]

    def explain(self, *options: object, **changes: Path | str) -> Outcome:
        """Run the command in this process."""
        result = CliRunner().invoke(app, self.arguments(*options, **changes))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Outcome(result.exit_code, result.stdout, result.stderr)

    def refused(self, exit_code: int, *options: object, **changes: Path | str) -> str:
        """Run what must fail; see that it leaves nothing behind, and return what it says."""
        there = self.out.exists()
        outcome = self.explain(*options, **changes)
        assert (outcome.exit_code, self.out.exists()) == (exit_code, there), outcome.stderr
        return outcome.refusal()

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file of texts."""
        path = self.home / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def change_config(self, **changes: Any) -> None:  # noqa: ANN401
        """Write other values into the model's config."""
        path = self.model / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def weights(self) -> dict[str, Tensor]:
        """Read the weights of the sound model."""
        return load_file(self.model / "model.safetensors")

    def as_state_dict(self, content: object) -> Path:
        """Turn the folder's model into a `.pt` file of `content`, its config beside it."""
        path = self.model / "model.pt"
        torch.save(content, path)
        (self.model / "model.safetensors").unlink(missing_ok=True)
        return path


def run(arguments: list[str], **environment: str) -> Outcome:
    """Run the command line as a process of its own."""
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
