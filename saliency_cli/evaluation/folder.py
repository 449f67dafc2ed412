"""The folder of an evaluation: which files are in it, and which of them may be replaced.

DIR/sample.jsonl           the texts that every method explained
DIR/methods/NAME/          the run of each method, as `saliency explain` writes it
DIR/metrics/*.json         what was measured, by metric and method, with a seal; `--resume` reads it
DIR/evaluation.json        the result
DIR/index.html             its page
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saliency_cli.atomic_files import TEMPORARY_SUFFIX, open_atomic, output_errors
from saliency_cli.errors import UsageError
from saliency_cli.evaluation.metrics.interface import Values
from saliency_cli.evaluation.sample import SAMPLE, SAMPLE_START
from saliency_cli.evaluation.variants import Variant
from saliency_cli.report.evaluation.page import MARK
from saliency_cli.report.page_files import is_page
from saliency_cli.runs.output_folder import check_output_folder, entries_of

RESULT = "evaluation.json"
RESULT_START = '{\n  "agreement": '
PAGE = "index.html"
_SECONDS = "seconds.json"
_STARTS = {SAMPLE: SAMPLE_START, RESULT: RESULT_START, PAGE: "<!doctype html>"}
_FOLDERS = {"methods", "metrics"}


@dataclass(frozen=True, slots=True)
class EvaluationFolder:
    """The folder that an evaluation is written to."""

    path: Path

    def check(self, *, overwrite: bool, resume: bool) -> None:
        """Check that an evaluation may be written here; nothing is changed.

        Args:
            overwrite: Whether an earlier evaluation may be replaced.
            resume: Whether it may be continued.

        Raises:
            UsageError: The folder holds something else, or an evaluation that may be neither.
        """
        if overwrite and resume:
            raise UsageError("--resume continues what --overwrite would replace; give one of them")
        hint = "add --resume to continue it, or --overwrite to replace it"
        check_output_folder(
            self.path,
            entries_of(self.path),
            _is_ours,
            holds="an evaluation",
            hint=None if overwrite or resume else hint,
        )

    @property
    def sample(self) -> Path:
        """Path of the sample."""
        return self.path / SAMPLE

    @property
    def page(self) -> Path:
        """Path of the page."""
        return self.path / PAGE

    def run(self, variant: Variant) -> Path:
        """Return the folder of a method's run."""
        return self.path / "methods" / variant.folder

    def stored(self, name: str, settings: Any, measure: Callable[[], Values]) -> Values:  # noqa: ANN401
        """Return what was measured before with the same settings; else measure and store it.

        Args:
            name: Name of the file, without its suffix.
            settings: All that decides the values, as JSON.
            measure: Returns the values.

        Raises:
            OutputError: The file cannot be written.
        """
        path = self.path / "metrics" / f"{name}.json"
        seal = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        before = _read_json(path)
        if before.get("seal") == seal and type(before.get("values")) is dict:
            return dict(before["values"])
        values = measure()
        stored = {"seal": seal, "settings": settings, "values": values}
        self._write(path, json.dumps(stored, sort_keys=True))
        return values

    def seconds(self) -> dict[str, float]:
        """Return the seconds a text of the methods that were timed in one go."""
        return _read_json(self.path / "metrics" / _SECONDS)

    def write_seconds(self, seconds: dict[str, float]) -> None:
        """Store the seconds a text, by method. No clock is in any other file but the result."""
        self._write(self.path / "metrics" / _SECONDS, json.dumps(seconds, sort_keys=True))

    def write_result(self, result: dict[str, Any]) -> None:
        """Write `evaluation.json`."""
        text = json.dumps(result, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
        self._write(self.path / RESULT, text)

    def _write(self, path: Path, text: str) -> None:
        with open_atomic(path) as stream, output_errors(path):
            stream.write(text + "\n")


def _is_ours(entry: Path) -> bool:
    """Whether an evaluation wrote an entry of its folder; of a file its start says so."""
    if entry.is_symlink():
        return False
    if entry.is_dir():
        return entry.name in _FOLDERS
    name = entry.name.removesuffix(TEMPORARY_SUFFIX)
    if entry.name == PAGE:
        return is_page(entry, mark=MARK)
    start = _STARTS.get(name)
    if start is None:
        return False
    with entry.open("rb") as stream:
        head = stream.read(len(start)).decode("utf-8", "replace")
    return head == start or name != entry.name


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one if there is none, or none that can be read."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if type(value) is dict else {}
