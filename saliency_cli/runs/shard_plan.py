"""How the rows of a run are divided into shards."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from saliency_cli.inputs.text_source import Source
from saliency_cli.records import RowPosition

MIN_SHARD_ROWS = 125
"""Smallest shard of an input that is divided. Small shards keep more cores busy, but each ends with
batches that are not full: with 128 rows a shard, the sample model takes 15 % longer than with 512,
and MiniLM no longer."""
MAX_SHARD_ROWS = 2048
"""With larger shards, more rows are computed again where a run stopped."""
MAX_SHARDS = 64
"""A longer input gets larger shards, up to `MAX_SHARD_ROWS`; beyond that, more of them."""
GRID_ROWS = 8
"""Shards begin at multiples of this number of rows, or of a larger one in a long input."""
_MAX_KEPT = 4096
"""Positions that are kept while rows are counted, unless the input has more shards."""


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


def choose_shards(source: Source, *, spool: Path | None = None) -> tuple[int, list[RowPosition]]:
    """Count the rows of an input; return the rows of a shard, and where each shard begins.

    The number of shards follows from the number of rows alone: it is a power of two up to
    `MAX_SHARDS`, so that the cores of most machines divide the shards evenly.

    Args:
        source: The open input.
        spool: A file to which a stream is written while it is read.

    Raises:
        UsageError: The input cannot be read.
        OutputError: The spool cannot be written.
    """
    kept: list[RowPosition] = []
    every = GRID_ROWS
    for position in source.positions(GRID_ROWS, spool=spool):
        if position.ordinal % every == 0:
            kept.append(position)
        if len(kept) > _MAX_KEPT and every < MAX_SHARD_ROWS:
            kept, every = kept[::2], 2 * every
    rows = source.count or 0
    shards = min(MAX_SHARDS, 1 << max(0, (rows // MIN_SHARD_ROWS).bit_length() - 1))
    steps = min(-(-rows // (shards * every)), MAX_SHARD_ROWS // every)
    return steps * every, kept[::steps]
