"""Receipts: the proof that a shard is committed and its records are complete.

A receipt is a file in `work/`, written after the shard's records. When the run is finished the
receipts are removed, and the manifest holds the SHA-256 of each shard instead.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from saliency_cli.atomic_files import open_atomic
from saliency_cli.runs.ownership import sha256_of
from saliency_cli.runs.record_lines import read_lines
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.summary import SummaryCounts, are_sums


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a committed shard contains.

    Attributes:
        sha256: Hexadecimal SHA-256 of its file of records.
        sums: Its part of the run's `SummaryCounts`, by field name.
    """

    sha256: str
    sums: dict[str, float]


def write_receipt(folder: RunFolder, number: int, receipt: Receipt) -> None:
    """Commit a shard whose records are written.

    Args:
        folder: The run folder.
        number: Number of the shard.
        receipt: Hash and sums of its records.

    Raises:
        OutputError: If the receipt cannot be written.
    """
    with open_atomic(folder.receipt(number)) as stream:
        stream.write(json.dumps(asdict(receipt), sort_keys=True) + "\n")


def is_committed(folder: RunFolder, manifest: Mapping[str, Any], number: int) -> bool:
    """Whether a shard's records exist and have the SHA-256 that they were committed with.

    Args:
        folder: The run folder.
        manifest: The manifest of the run, finished or not.
        number: Number of the shard.
    """
    part, receipt = folder.part(number), _read_file(folder, number)
    manifest_hashes = manifest["shards"].get("sha256")
    if not part.is_file() or (receipt is None and manifest_hashes is None):
        return False
    return bool(sha256_of(part) == (manifest_hashes[number] if receipt is None else receipt.sha256))


def read_receipt(folder: RunFolder, manifest: Mapping[str, Any], number: int) -> Receipt | None:
    """Return the receipt of a shard, or None if it is not committed.

    Args:
        folder: The run folder.
        manifest: The manifest of the run, finished or not.
        number: Number of the shard.
    """
    if not is_committed(folder, manifest, number):
        return None
    return _read_file(folder, number) or _rebuild(folder, manifest, number)


def _read_file(folder: RunFolder, number: int) -> Receipt | None:
    """Read a receipt from its file, or return None if there is no valid one."""
    try:
        content = json.loads(folder.receipt(number).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if type(content) is not dict or content.keys() != {"sha256", "sums"}:
        return None
    is_valid = type(content["sha256"]) is str and are_sums(content["sums"])
    return Receipt(**content) if is_valid else None


def _rebuild(folder: RunFolder, manifest: Mapping[str, Any], number: int) -> Receipt:
    """Return the receipt of a finished run's shard, with sums computed from its records."""
    counts = SummaryCounts(tuple(manifest["model"]["labels"]))
    for line in read_lines(folder.part(number)):
        counts.add(json.loads(line))
    return Receipt(manifest["shards"]["sha256"][number], counts.sums())
