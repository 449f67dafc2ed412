"""How the rows of a run are divided into shards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from saliency_cli.records import RowPosition


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of an input are divided into shards.

    Attributes:
        rows: Number of rows in the input.
        shard_rows: Number of rows in a shard; the last shard may have fewer.
        positions: Where each shard begins in the input, by the shard's number.
    """

    rows: int
    shard_rows: int
    positions: tuple[RowPosition, ...]

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> Self:
        """Return the plan that a manifest holds."""
        shards = manifest["shards"]
        starts = enumerate(zip(shards["offsets"], shards["lines"], strict=True))
        positions = tuple(
            RowPosition(number * shards["rows"], offset, line) for number, (offset, line) in starts
        )
        return cls(manifest["planned"], shards["rows"], positions)

    def size(self, number: int) -> int:
        """Return the number of rows in a shard."""
        return min(self.shard_rows, self.rows - number * self.shard_rows)
