"""The texts that a copy is trained on: others than those of the sample, spread over the input."""

import json
from pathlib import Path

import pytest

from saliency_cli.evaluation.sample import other_rows
from saliency_cli.inputs.options import TextsChoice


@pytest.mark.parametrize("count", [2, 7, 20, 21, 333])
def test_other_rows_are_spread_over_the_input(tmp_path: Path, count: int) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": f"text {n}"}) + "\n" for n in range(count)))
    known = {f"text {n}" for n in range(0, count, 3)}
    found = [row.ordinal for row in other_rows(TextsChoice(str(path)), known, most=10)]
    others = [n for n in range(count) if n % 3]
    assert len(found) <= 20
    assert len(found) == len(others) or len(found) >= 10
    step = others.index(found[1]) if len(found) > 1 else 1
    assert found == others[::step]
