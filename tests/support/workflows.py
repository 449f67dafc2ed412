"""Runs the workflow of GitHub Actions and the GitLab job of docs/ci.md on this machine.

Steps with `run` are run by bash as the runners do it, with their files for outputs and summaries.
Actions of GitHub's own are replaced by what they do to the working directory; a local composite
action is run step by step. Anything else, in a workflow or an expression, is an error here.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import ROOT

DOCS = ROOT / "docs" / "ci.md"
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_FENCE = re.compile(r"```yaml\n# (?P<name>\S+)\n(?P<text>.*?)```", re.DOTALL)
PYTHON_FOLDER = Path(sys.executable).parent


def workflow(name: str) -> Any:  # noqa: ANN401 - any YAML value
    """Return the YAML of docs/ci.md whose first line names a file."""
    texts = {match["name"]: match["text"] for match in _FENCE.finditer(DOCS.read_text("utf-8"))}
    return yaml.safe_load(texts[name])


def environment(**changes: str) -> dict[str, str]:
    """Return environment variables with which `saliency` and `pip` are those of the tests."""
    path = f"{PYTHON_FOLDER}{os.pathsep}{os.environ['PATH']}"
    offline = {"PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return {**os.environ, "PATH": path, **offline, **changes}


def bash(script: str, folder: Path, *options: str, **changes: str) -> tuple[int, str]:
    """Run a script by bash, and return its exit code and what it printed.

    Args:
        script: The script.
        folder: The working directory.
        options: Options of bash.
        changes: More environment variables.
    """
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", *options, "-c", script],
        cwd=folder,
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@dataclass
class Runner:
    """Runs jobs in one working directory after another, with a cache that they share.

    Attributes:
        home: Folder for the cache, the artifacts and the files of steps.
        folder: The working directory of the job.
        log: What the steps of the last job printed.
        summary: What they wrote into the step summary.
    """

    home: Path
    folder: Path
    log: str = ""
    summary: str = ""
    runs: int = 0
    _context: dict[str, str] = field(default_factory=dict)

    def run(self, job: Mapping[str, Any]) -> bool:
        """Run the steps of a job; return whether it succeeded."""
        self.runs += 1
        self.log = self.summary = ""
        self._context = {"github.run_id": str(self.runs)}
        return self._steps(job["steps"], self._context)

    def _steps(self, steps: list[dict[str, Any]], context: dict[str, str]) -> bool:
        success = True
        for step in steps:
            condition = step.get("if", "success()")
            assert condition in {"success()", "always()"}, condition
            if condition == "always()" or success:
                success = self._step(step, context) and success
        return success

    def _step(self, step: dict[str, Any], context: dict[str, str]) -> bool:
        if "run" in step:
            return self._script(step, context)
        inputs = {name: _filled(str(text), context) for name, text in step.get("with", {}).items()}
        uses: str = step["uses"]
        if uses.startswith("./"):
            return self._composite(uses, inputs)
        name = uses.partition("@")[0]
        {
            "actions/checkout": lambda: None,
            "actions/setup-python": lambda: None,
            "actions/cache/restore": lambda: self._restore(inputs),
            "actions/cache/save": lambda: self._save(inputs),
            "actions/upload-artifact": lambda: self._upload(inputs),
        }[name]()
        return True

    def _script(self, step: dict[str, Any], context: dict[str, str]) -> bool:
        files = {
            "GITHUB_OUTPUT": self.home / "output",
            "GITHUB_STEP_SUMMARY": self.home / "summary",
        }
        for file in files.values():
            file.write_text("")
        variables = {
            name: _filled(str(text), context) for name, text in step.get("env", {}).items()
        }
        paths = {name: str(file) for name, file in files.items()}
        script = _filled(step["run"], context)
        code, output = bash(script, self.folder, "-eo", "pipefail", **variables, **paths)
        self.log += output
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            name, _, value = line.partition("=")
            context[f"steps.{step['id']}.outputs.{name}"] = value
        return code == 0

    def _composite(self, uses: str, given: Mapping[str, str]) -> bool:
        action = yaml.safe_load((self.folder / uses / "action.yml").read_text("utf-8"))
        declared = action["inputs"]
        assert {*given} <= {*declared}
        required = {name for name, each in declared.items() if each.get("required")}
        assert required <= {*given}
        defaults = {name: str(each.get("default", "")) for name, each in declared.items()}
        inputs = {f"inputs.{name}": text for name, text in {**defaults, **given}.items()}
        return self._steps(action["runs"]["steps"], dict(inputs))

    def _restore(self, inputs: Mapping[str, str]) -> None:
        found = sorted((self.home / "cache").glob(f"{inputs['restore-keys']}*"), key=_run_number)
        if found:
            shutil.copytree(found[-1], self.folder / inputs["path"])

    def _save(self, inputs: Mapping[str, str]) -> None:
        shutil.copytree(self.folder / inputs["path"], self.home / "cache" / inputs["key"])

    def _upload(self, inputs: Mapping[str, str]) -> None:
        for name in inputs["path"].split():
            if (self.folder / name).exists():
                shutil.copytree(self.folder / name, self.home / f"artifact-{self.runs}" / name)


def _run_number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _filled(text: str, context: Mapping[str, str]) -> str:
    """Return a text with its expressions replaced; an output that no step has set is empty."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return context.get(name, "") if name.startswith("steps.") else context[name]

    return _EXPRESSION.sub(value, text)
