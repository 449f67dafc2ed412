"""The run that README's first command writes, beside the sample data and the docs."""

from pathlib import Path

import pytest

from tests.support.paths import ROOT, SAMPLE
from tests.support.shell import DONE, run_here


@pytest.fixture(scope="package")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like that of a checkout, with `sample_data`, `docs` and `report`."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("sample_data", "docs"):
        (folder / name).symlink_to(ROOT / name)
    arguments = [str(SAMPLE / "model.pt"), str(SAMPLE / "texts.jsonl"), "--shard-rows", "100"]
    options = ["--out", str(folder / "report"), "--device", "cpu", "--workers", "1"]
    assert run_here(["explain", *arguments, *options]).exit_code == DONE
    return folder
