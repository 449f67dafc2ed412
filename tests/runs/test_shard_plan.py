"""The shards of an input follow from its rows alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from saliency_cli.inputs.options import TextsChoice
from saliency_cli.inputs.text_source import open_texts
from saliency_cli.runs.shard_plan import MAX_SHARD_ROWS, MAX_SHARDS, MIN_SHARD_ROWS, choose_shards


@pytest.mark.parametrize("count", [1, 249, 250, 500, 2000, 33_000, 300_000])
def test_shards_have_equal_sizes_between_the_bounds(
    write_jsonl: Callable[..., Path], count: int
) -> None:
    path = write_jsonl(*range(count))
    with open_texts(TextsChoice(str(path))) as source:
        rows, positions = choose_shards(source)
        assert positions == [*source.positions(rows)]
    shards = len(positions)
    assert rows <= MAX_SHARD_ROWS
    assert shards <= MAX_SHARDS or rows == MAX_SHARD_ROWS
    assert shards == 1 or rows >= MIN_SHARD_ROWS
    assert count < 2 * MIN_SHARD_ROWS or shards > 1


@pytest.mark.parametrize(("count", "shards"), [(249, 1), (250, 2), (500, 4), (2000, 16)])
def test_few_rows_keep_many_cores_busy(
    write_jsonl: Callable[..., Path], count: int, shards: int
) -> None:
    with open_texts(TextsChoice(str(write_jsonl(*range(count))))) as source:
        assert len(choose_shards(source)[1]) == shards
