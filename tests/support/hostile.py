"""The table of hostile and broken checkpoints: how each is built, and the error it must give."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.shell import CHECKPOINT, Shell

Build = Callable[[Shell], Path | None]
"""Breaks the sound model of a shell; returns MODEL if that is not the model's folder."""


@dataclass(frozen=True, slots=True)
class Case:
    """A broken checkpoint, and what `saliency explain` must answer.

    Attributes:
        name: Its name in the table of docs/safety.md.
        build: Builds it.
        message: Words that the error message must contain.
        exit_code: The exit code.
        isolated: It carries code or requires much memory: it is tested again in a process with
            traps for both.
    """

    name: str
    build: Build
    message: str
    exit_code: int = CHECKPOINT
    isolated: bool = False


CASES: dict[str, Case] = {}


def hostile_case(
    name: str, message: str, *, exit_code: int = CHECKPOINT, isolated: bool = False
) -> Callable[[Build], Build]:
    """Return a decorator that adds a builder to `CASES`; the arguments are the fields of `Case`."""

    def add(build: Build) -> Build:
        assert name not in CASES
        CASES[name] = Case(name, build, message, exit_code=exit_code, isolated=isolated)
        return build

    return add


def marker_file(shell: Shell) -> Path:
    """Return the file that exists as soon as code of a checkpoint has run."""
    return shell.home / "marker"
