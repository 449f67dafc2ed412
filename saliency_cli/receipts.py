"""What says that a shard is committed and whole: its receipt, and once all are, the manifest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from saliency_cli.store import RunFolder, committed, lines
from saliency_cli.summary import Tally


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


def read_receipt(folder: RunFolder, manifest: Mapping[str, Any], number: int) -> Receipt | None:
    """Return the receipt of a shard whose records are those that it was given for, or None."""
    part = folder.part(number)
    if not part.is_file():
        return None
    receipt = _kept(folder, number) or _of_finished(manifest, part, number)
    with part.open("rb") as stream:
        found = file_digest(stream, "sha256").hexdigest()
    return receipt if receipt is not None and receipt.sha256 == found else None


def _kept(folder: RunFolder, number: int) -> Receipt | None:
    try:
        return Receipt(**json.loads(folder.receipt(number).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _of_finished(manifest: Mapping[str, Any], part: Path, number: int) -> Receipt | None:
    """Return the receipt of a finished run's shard, its sums taken from its records once more."""
    sums = Tally(tuple(manifest["model"]["labels"]))
    if "sha256" not in manifest["shards"]:
        return None
    for line in lines(part):
        sums.add(json.loads(line))
    return Receipt(manifest["shards"]["sha256"][number], sums.sums())
