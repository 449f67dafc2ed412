"""Folders of the repository that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_data"
GOLDEN = ROOT / "tests" / "golden"
