"""The table of hostile and broken checkpoints, each built by hand and told what it must meet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.shell import CHECKPOINT, Shell

Build = Callable[[Shell], Path | None]
"""Spoils a sound model, and returns MODEL where that is another file than the model's folder."""


@dataclass(frozen=True, slots=True)
class Case:
    """A broken checkpoint: how it is built, and what `saliency explain` must answer."""

    name: str
    build: Build
    told: str
    exit_code: int = CHECKPOINT
    guarded: bool = False
    """It carries code or claims memory: run again in a process that traps both."""


CASES: dict[str, Case] = {}


def hostile(
    name: str, told: str, *, exit_code: int = CHECKPOINT, guarded: bool = False
) -> Callable[[Build], Build]:
    """Put a builder into the table."""

    def put(build: Build) -> Build:
        assert name not in CASES
        CASES[name] = Case(name, build, told, exit_code=exit_code, guarded=guarded)
        return build

    return put


def canary(shell: Shell) -> Path:
    """Return the file that is there once somebody's code has run."""
    return shell.home / "canary"
