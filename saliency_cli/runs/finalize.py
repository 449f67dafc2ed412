"""The end of a run: check that all shards are committed, sum them up, write the final manifest."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from saliency_cli.errors import UsageError
from saliency_cli.figures.run_figures import RunFigures
from saliency_cli.runs.finished_run import read_checked_manifest
from saliency_cli.runs.folder_lock import lock_folder
from saliency_cli.runs.receipts import Receipt, read_receipt
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.shard_plan import Plan
from saliency_cli.runs.summary import Summary, SummaryCounts
from saliency_cli.safe_text import listed, visible

GateJudge: TypeAlias = Callable[[Summary], list[dict[str, Any]]]
"""Returns the results of gates on a run, as the manifest holds them."""


def _no_gates(_summary: Summary) -> list[dict[str, Any]]:
    return []


def finish(
    folder: RunFolder, manifest: Mapping[str, Any], *, judge: GateJudge = _no_gates
) -> tuple[Summary, int]:
    """Write the final manifest of a run, and remove its working files.

    Args:
        folder: The run folder; this process must have locked it.
        manifest: The plan of the run.
        judge: The gates that the run is judged by.

    Returns:
        The summary, and the number of rows that did not converge.

    Raises:
        UsageError: If shards are missing, or the records are not as many as were planned.
        OutputError: If the manifest cannot be written.
    """
    receipts = _read_receipts(folder, manifest)
    counts = SummaryCounts(tuple(manifest["model"]["labels"]))
    for receipt in receipts:
        counts.add_sums(receipt.sums)
    if counts.rows != manifest["planned"]:
        raise UsageError(
            f"{visible(str(folder.path))} holds {counts.rows} records, "
            f"but {manifest['planned']} rows were planned",
            "explain the texts again with --overwrite",
        )
    summary = counts.summary(_figures(folder, manifest))
    shards = {**manifest["shards"], "sha256": [receipt.sha256 for receipt in receipts]}
    folder.write_manifest(
        {**manifest, "shards": shards, "counts": asdict(summary), "gates": judge(summary)}
    )
    folder.clear_temporary()
    folder.clear_work()
    return summary, int(counts.unconverged)


def _figures(folder: RunFolder, manifest: Mapping[str, Any]) -> RunFigures:
    """Return the figures about gold labels, from all records in input order."""
    threshold = manifest["options"].get("threshold")
    figures = RunFigures(threshold if type(threshold) is float else 0.5)
    for line in folder.records():
        figures.add(json.loads(line))
    return figures


def finish_if_unfinished(folder: RunFolder) -> None:
    """Finish a run that was explained with `--shard`; do nothing if it is finished already.

    Raises:
        UsageError: If shards are missing, another process is writing into the folder, or a run
            did not write one of the files that are removed or replaced.
        OutputError: If the manifest cannot be written.
    """
    manifest = read_checked_manifest(folder) if folder.is_unfinished else None
    if manifest is not None:
        folder.check_work()
        with lock_folder(folder.lock):
            finish(folder, manifest)


def _read_receipts(folder: RunFolder, manifest: Mapping[str, Any]) -> list[Receipt]:
    """Read the receipts of all shards.

    Raises:
        UsageError: If a shard is not committed.
    """
    shards = range(len(Plan.from_manifest(manifest).positions))
    receipts = [read_receipt(folder, manifest, number) for number in shards]
    missing = [str(number) for number in shards if receipts[number] is None]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(shards)} shards are missing in {visible(str(folder.path))}: "
            f"{listed(missing)}",
            "explain them with --resume, or with the --shard that they belong to",
        )
    return [receipt for receipt in receipts if receipt is not None]
