"""Two runs, built without a model, and their comparison."""

from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.comparison.compare import Comparison, compare_runs
from saliency_cli.comparison.folder import ComparisonFolder
from saliency_cli.comparison.numbers import COMPARISON_NAMES, ComparisonNumbers
from saliency_cli.gates import judge, parse_gates
from saliency_cli.records import Record
from saliency_cli.report.comparison import write_comparison_page
from saliency_cli.runs.finished_run import open_run
from tests.support.runs import HOSTILE, bad_record, pair_record, record, write_run


def labelled(ordinal: int, text: str, label: str, probability: float, **changes: Any) -> Record:  # noqa: ANN401
    """Return the record of a text with a predicted label, `ham` or `spam`, and its probability."""
    other = {"ham": "spam", "spam": "ham"}[label]
    probabilities = {label: probability, other: 1 - probability}
    return record(
        ordinal,
        text,
        predicted=label,
        probability=probability,
        probabilities=dict(sorted(probabilities.items())),
        **changes,
    )


def compared(folder: Path, before: list[Record], after: list[Record], **options: Any) -> Comparison:  # noqa: ANN401
    """Write two runs, and return their comparison.

    Args:
        folder: A folder for all of it.
        before: The records of the first run.
        after: The records of the second run.
        options: Arguments of `compare_runs`.
    """
    old, new = (
        open_run(write_run(folder / name, records, html_rows=0))
        for name, records in (("before", before), ("after", after))
    )
    return compare_runs(old, new, ComparisonFolder(folder / "compared"), **options)


def changed_runs() -> tuple[list[Record], list[Record]]:
    """Return the records of two runs with each kind of change, and hostile texts."""
    moved = record(4, "home is where our heart lives")
    before = [
        labelled(0, "free call now", "spam", 0.9, gold="spam"),
        labelled(1, "see you at home", "ham", 0.6, gold="spam"),
        labelled(2, f"a {HOSTILE} b", "ham", 0.7, id=HOSTILE),
        record(3, "explained once", gold="spam"),
        moved,
        pair_record(5),
        record(6, "only in the first run"),
    ]
    after = [
        labelled(0, "free call now", "ham", 0.8, gold="spam"),
        labelled(1, "see you at home", "spam", 0.97, gold="spam"),
        labelled(2, f"a {HOSTILE} b", "spam", 0.9, id=HOSTILE),
        {**bad_record(3), "id": "id-3"},
        moved | {"scores": [moved["scores"][0], *moved["scores"][:0:-1]]},
        pair_record(5),
        record(6, "only in the second run", id="new", gold="ham"),
    ]
    slices = {0: "de", 1: "<i>en</i>", 2: "de"}
    for records in (before, after):
        for each in records[:3]:
            each["slices"] = {"lang": slices[each["ordinal"]]}
    return before, after


def write_page(folder: Path) -> Path:
    """Write the comparison of `changed_runs` with its page, and return its folder."""
    result = compared(folder, *changed_runs())
    gates = parse_gates(["broken>0", "warn:moved>0", "matched<3"], names=COMPARISON_NAMES)
    results = judge(gates, ComparisonNumbers(result.result))
    figures = {**result.result, "gates": [each.as_json() for each in results]}
    target = ComparisonFolder(folder / "compared")
    write_comparison_page(target.page, figures, result)
    target.write_result(figures)
    return target.path


def compare(*arguments: object) -> Result:
    """Run `saliency compare`."""
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])
