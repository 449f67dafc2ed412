"""How the rows of a run are divided into shards."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from saliency_cli.records import RowPosition


@dataclass(frozen=True, slots=True)
class Plan:
    """How an input is divided: shard n begins at `places[n]`; the last may be short of rows."""

    rows: int
    shard_rows: int
    positions: tuple[RowPosition, ...]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Self:
        """Read the plan in a manifest."""
        shards = manifest["shards"]
        starts = enumerate(zip(shards["offsets"], shards["lines"], strict=True))
        positions = tuple(
            RowPosition(number * shards["rows"], offset, line) for number, (offset, line) in starts
        )
        return cls(manifest["planned"], shards["rows"], positions)

    def size(self, number: int) -> int:
        """Return how many rows a shard has."""
        return min(self.shard_rows, self.rows - number * self.shard_rows)
