"""What says that a shard is committed and whole: its receipt, and once all are, the manifest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest
from typing import Any

from saliency_cli.atomic_files import committed
from saliency_cli.runs.run_folder import RunFolder, lines
from saliency_cli.runs.summary import SummaryCounts


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a committed shard holds: the SHA-256 of its records, and their sums for the summary."""

    sha256: str
    sums: dict[str, float]


def write_receipt(folder: RunFolder, number: int, receipt: Receipt) -> None:
    """Commit a shard whose records are written.

    Raises:
        OutputError: it cannot be written.
    """
    with committed(folder.receipt(number)) as stream:
        stream.write(json.dumps(asdict(receipt), sort_keys=True) + "\n")


def is_committed(folder: RunFolder, manifest: Mapping[str, Any], number: int) -> bool:
    """Say whether a shard's records are there, and are those that it was committed with."""
    part, kept = folder.part(number), _kept(folder, number)
    recorded = manifest["shards"].get("sha256")
    if not part.is_file() or (kept is None and recorded is None):
        return False
    with part.open("rb") as stream:
        found = file_digest(stream, "sha256").hexdigest()
    return bool(found == (recorded[number] if kept is None else kept.sha256))


def read_receipt(folder: RunFolder, manifest: Mapping[str, Any], number: int) -> Receipt | None:
    """Return the receipt of a shard that is committed, or None."""
    if not is_committed(folder, manifest, number):
        return None
    return _kept(folder, number) or _of_finished(folder, manifest, number)


def _kept(folder: RunFolder, number: int) -> Receipt | None:
    try:
        return Receipt(**json.loads(folder.receipt(number).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _of_finished(folder: RunFolder, manifest: Mapping[str, Any], number: int) -> Receipt:
    """Return the receipt of a finished run's shard, its sums taken from its records once more."""
    sums = SummaryCounts(tuple(manifest["model"]["labels"]))
    for line in lines(folder.part(number)):
        sums.add(json.loads(line))
    return Receipt(manifest["shards"]["sha256"][number], sums.sums())
