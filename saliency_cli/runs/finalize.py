"""The end of a run: every shard seen to be whole, counted, and the manifest written for good."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from saliency_cli.errors import UsageError
from saliency_cli.runs.finished_run import read_plan
from saliency_cli.runs.folder_lock import locked
from saliency_cli.runs.receipts import Receipt, read_receipt
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.shard_plan import Plan
from saliency_cli.runs.summary import Summary, SummaryCounts
from saliency_cli.safe_text import listed, visible


def finish(folder: RunFolder, manifest: Mapping[str, Any]) -> tuple[Summary, int]:
    """Write the manifest of a run whose shards are all there; return its summary.

    With it comes how many rows are unsettled. The folder must be locked. What the run needed on its
    way is removed.

    Raises:
        UsageError: shards are missing, or do not hold what was planned.
        OutputError: it cannot be written.
    """
    receipts = _receipts(folder, manifest)
    tally = SummaryCounts(tuple(manifest["model"]["labels"]))
    for receipt in receipts:
        tally.join(receipt.sums)
    if tally.rows != manifest["planned"]:
        raise UsageError(
            f"{visible(str(folder.path))} holds {tally.rows} records, "
            f"and {manifest['planned']} rows were planned",
            "explain the texts again, with --overwrite",
        )
    summary = tally.summary()
    shards = {**manifest["shards"], "sha256": [receipt.sha256 for receipt in receipts]}
    folder.write_manifest({**manifest, "shards": shards, "counts": asdict(summary)})
    folder.clear_partial()
    folder.clear_work()
    return summary, int(tally.unconverged)


def finish_if_begun(folder: RunFolder) -> None:
    """Finish a run that was explained in parts; one that is finished stays as it is.

    Raises:
        UsageError: shards are missing, or another process is writing.
    """
    manifest = read_plan(folder) if folder.under_way else None
    if manifest is not None:
        with locked(folder.lock):
            finish(folder, manifest)


def _receipts(folder: RunFolder, manifest: Mapping[str, Any]) -> list[Receipt]:
    shards = range(len(Plan.of(manifest).positions))
    found = [read_receipt(folder, manifest, number) for number in shards]
    missing = [str(number) for number in shards if found[number] is None]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(shards)} shards are missing in {visible(str(folder.path))}: "
            f"{listed(missing)}",
            "explain them with --resume, or with the --shard that holds them",
        )
    return [receipt for receipt in found if receipt is not None]
