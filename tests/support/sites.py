"""A folder of runs, built without a model, and the site of it."""

from pathlib import Path

from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.records import Record
from tests.support.comparisons import labelled
from tests.support.gates import every_outcome
from tests.support.runs import HOSTILE_LABEL, bad_record, planted, write_run

HOSTILE_FOLDER = "build-8 <img src=x onerror=alert(1)>?#%41"
"""A folder's name that is none of HTML, of URLs, or of many file systems."""
HOSTILE_MODEL = "</title><script>alert(1)</script>"
UNFINISHED, NO_RUN = "build-11", "notes"


def predictions(rows: int, *, wrong: int) -> list[Record]:
    """Return records of which the first ones are wrong."""
    labels = ["ham" if row < wrong else "spam" for row in range(rows)]
    return [
        labelled(row, f"text number {row}", label, 0.9, gold="spam")
        for row, label in enumerate(labels)
    ]


def shortcut_records() -> list[Record]:
    """Return records with a suspect whose label is hostile."""
    return [
        {**each, "predicted": HOSTILE_LABEL, "target": HOSTILE_LABEL}
        if each["predicted"] == "spam"
        else each
        for each in planted()
    ]


def write_runs(folder: Path) -> Path:
    """Write runs over time, beside folders that hold none, and return the folder.

    The second has other texts than the others, a suspect, and hostile names of folder, model and
    label. The last is better than the third in predictions, and fails gates.
    """
    model = {"name": HOSTILE_MODEL, "labels": ["ham", HOSTILE_LABEL], "max_length": 64}
    write_run(folder / "build-8", predictions(40, wrong=6))
    write_run(folder / HOSTILE_FOLDER, shortcut_records(), model=model, html_rows=0)
    write_run(folder / "build-9", [*predictions(40, wrong=9), bad_record(40)])
    write_run(folder / "build-10", predictions(40, wrong=2), gates=every_outcome())
    unfinished = write_run(folder / UNFINISHED, predictions(4, wrong=1))
    (unfinished / "manifest.json").unlink()
    (folder / NO_RUN).mkdir()
    (folder / ".hidden").mkdir()
    (folder / "README").write_text("a file is no run", encoding="utf-8")
    return folder


def site(*arguments: object) -> Result:
    """Run `saliency site`."""
    return CliRunner().invoke(app, ["site", *map(str, arguments)])
