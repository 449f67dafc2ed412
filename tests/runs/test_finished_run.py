"""A finished run is read only as it was written: hashes, ordinals and counts are verified."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from saliency_cli.errors import UsageError
from saliency_cli.runs.finished_run import open_run
from tests.support.models import TEXTS, save_bert
from tests.support.shell import DONE, USAGE, run


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of five rows in three parts."""
    home = tmp_path_factory.mktemp("finished")
    save_bert(home / "bert")
    rows = (json.dumps({"text": text}) + "\n" for text in TEXTS)
    (home / "texts.jsonl").write_text("".join(rows), encoding="utf-8")
    arguments = ["explain", home / "bert", home / "texts.jsonl", "--out", home / "out"]
    options = ["--shard-rows", "2", "--samples", "2", "--device", "cpu"]
    assert run([*map(str, arguments), *options]).exit_code == DONE
    return home / "out"


def flip_a_digit(records: Path) -> None:
    part = records / "part-00001.jsonl"
    content = part.read_bytes()
    place = content.index(b'"probability":0.') + len(b'"probability":0.')
    digit = b"1" if content[place : place + 1] != b"1" else b"2"
    part.write_bytes(content[:place] + digit + content[place + 1 :])


def swap_two_parts(records: Path) -> None:
    first, second = records / "part-00000.jsonl", records / "part-00001.jsonl"
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def copy_a_part_over_another(records: Path) -> None:
    shutil.copy(records / "part-00000.jsonl", records / "part-00001.jsonl")


def cut_the_last_line(records: Path) -> None:
    part = records / "part-00002.jsonl"
    part.write_bytes(part.read_bytes()[:-1])


DAMAGES = [flip_a_digit, swap_two_parts, copy_a_part_over_another, cut_the_last_line]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("command", [["report"], ["export", "--format", "csv"]], ids=lambda c: c[0])
def test_a_part_that_the_run_did_not_write_is_refused(
    original: Path, tmp_path: Path, damage: Callable[[Path], None], command: list[str]
) -> None:
    folder = shutil.copytree(original, tmp_path / "out")
    damage(folder / "records")
    outcome = run([command[0], str(folder), *command[1:]])
    assert (outcome.exit_code, outcome.stdout) == (USAGE, "")
    assert "is not the file that the run wrote" in outcome.stderr


def test_a_run_as_it_was_written_is_read(original: Path) -> None:
    assert [each["ordinal"] for each in open_run(original).records()] == [0, 1, 2, 3, 4]


def test_ordinals_must_count_from_zero(original: Path, tmp_path: Path) -> None:
    """A damaged folder whose manifest has the damaged part's hash."""
    folder = shutil.copytree(original, tmp_path / "out")
    swap_two_parts(folder / "records")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    first, second, third = manifest["shards"]["sha256"]
    manifest["shards"]["sha256"] = [second, first, third]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UsageError, match="its ordinal is 2, and must be 0"):
        open_run(folder).check_records()


def test_two_reports_at_once_both_succeed(original: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(original, tmp_path / "out")
    before = (folder / "index.html").read_bytes()
    command = [sys.executable, "-m", "saliency_cli", "report", str(folder), "--quiet"]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [each.wait(timeout=120) for each in both] == [0, 0]
    assert (folder / "index.html").read_bytes() == before
