"""Runs that are killed, stopped or out of disk space, then resumed, write the same bytes."""

import json
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import (
    INTERRUPTED,
    LONG,
    QUARANTINED,
    SHARD_ROWS,
    SHARDS,
    TERMINATED,
    PreparedRun,
    assert_same_files,
    kill_while_writing,
    read_files,
    start_and_pause,
    wait_for,
    wait_seconds,
)
from tests.support.shell import OUTPUT, USAGE


def test_a_forked_run_writes_the_files_of_a_fresh_process(prepared: PreparedRun, out: Path) -> None:
    assert len([name for name in prepared.expected_files if name.startswith("records/")]) == SHARDS
    assert {name.partition("/")[0] for name in prepared.expected_files} == {
        "index.html",
        "manifest.json",
        "pages",
        "records",
        "suspects.json",
    }
    assert prepared.explain(out).exit_code == QUARANTINED
    assert_same_files(read_files(out), prepared.expected_files)


KILLS, MAX_KILLS_PER_RUN = 100, 8
"""Number of kills in total, and of one run before it may finish."""


@pytest.mark.slow
def test_a_hundred_kills_at_random_moments_lose_nothing(
    prepared: PreparedRun, tmp_path: Path
) -> None:
    chance = random.Random(6)  # noqa: S311
    kills = cycle = 0
    while kills < KILLS:
        cycle += 1
        kills += kill_and_resume(prepared, tmp_path / str(cycle), chance=chance)


def kill_and_resume(prepared: PreparedRun, out: Path, *, chance: random.Random) -> int:
    """Kill and resume a run until it finishes; return the number of kills."""
    for kills in range(MAX_KILLS_PER_RUN + 1):
        running = prepared.start(out, "--resume")
        if kills < MAX_KILLS_PER_RUN:
            wait_seconds(running, chance.uniform(0.05, 1.3))
            running.kill()
        outcome = running.outcome()
        if outcome.exit_code == QUARANTINED:
            assert_same_files(read_files(out), prepared.expected_files)
            return kills
        assert outcome.exit_code == -signal.SIGKILL
        if outcome.stderr:  # killed between its last message and its exit
            assert outcome.stderr.startswith("warning: 1 of ")
            assert_same_files(read_files(out), prepared.expected_files)
    raise AssertionError(outcome)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
)
def test_a_run_stopped_inside_a_shard_can_be_resumed(
    prepared: PreparedRun, out: Path, number: signal.Signals, code: int
) -> None:
    running = prepared.start(out)
    wait_for((out / "records" / "part-00003.jsonl.tmp").exists, running)
    running.kill(number)
    outcome = running.outcome()
    assert outcome.exit_code == code
    assert outcome.refusal() == f"error: stopped by {number.name}\n"
    written = read_files(out)
    assert not [name for name in written if name.endswith((".tmp", ".html"))]
    assert {f"records/part-0000{n}.jsonl" for n in range(3)} <= {*written}
    assert "counts" not in json.loads(written["manifest.json"])
    prepared.check_resume(out)


def test_an_unfinished_run_is_refused_with_a_hint(prepared: PreparedRun, out: Path) -> None:
    kill_while_writing(prepared, out, part=2)
    outcome = prepared.explain(out)
    assert outcome.exit_code == USAGE
    assert "--resume" in outcome.refusal()
    assert "--overwrite" in outcome.stderr
    assert prepared.explain(out, "--overwrite").exit_code == QUARANTINED
    assert_same_files(read_files(out), prepared.expected_files)


def test_resume_without_a_run_starts_one(prepared: PreparedRun, out: Path) -> None:
    prepared.check_resume(out)


def test_resume_repairs_a_finished_run(prepared: PreparedRun, out: Path) -> None:
    shutil.copytree(prepared.home / "whole", out)
    prepared.check_resume(out)
    part = out / "records" / "part-00004.jsonl"
    part.write_bytes(part.read_bytes().replace(b'"ham"', b'"egg"', 1))
    (out / "index.html").unlink()
    prepared.check_resume(out)
    part.write_bytes(part.read_bytes()[:-30])
    prepared.check_resume(out)


@pytest.mark.parametrize(
    "damage", ["truncated", "changed", "missing", "receipt missing", "receipt truncated"]
)
def test_a_damaged_shard_is_explained_again(prepared: PreparedRun, out: Path, damage: str) -> None:
    kill_while_writing(prepared, out, part=3)
    part, receipt = out / "records" / "part-00001.jsonl", out / "work" / "00001.json"
    path = receipt if damage.startswith("receipt") else part
    content = path.read_bytes()
    if damage.endswith("missing"):
        path.unlink()
    else:
        changed = content.replace(b'"ham"', b'"egg"', 1)
        path.write_bytes(content[:-30] if damage.endswith("truncated") else changed)
        assert path.read_bytes() != content
    prepared.check_resume(out)


def test_a_part_that_holds_no_records_is_not_replaced(prepared: PreparedRun, out: Path) -> None:
    kill_while_writing(prepared, out, part=3)
    part = out / "records" / "part-00001.jsonl"
    part.write_bytes(part.read_bytes()[::-1])
    before = read_files(out)
    outcome = prepared.explain(out, "--resume")
    assert outcome.exit_code == USAGE
    assert str(part) in outcome.refusal()
    assert read_files(out) == before


def test_two_runs_never_write_into_one_folder(prepared: PreparedRun, out: Path) -> None:
    first = start_and_pause(prepared, out, part=2)
    before = read_files(out)
    for options in (["--resume"], ["--overwrite"], ["--shard", "1/2"]):
        outcome = prepared.explain(out, *options)
        assert outcome.exit_code == USAGE
        assert "another run is writing" in outcome.refusal()
    outcome = prepared.warm.run(["report", str(out)])
    assert outcome.exit_code == USAGE
    assert "another run is writing" in outcome.refusal()
    assert read_files(out) == before
    first.kill()
    first.outcome()
    prepared.check_resume(out)


@pytest.mark.parametrize("options", [["--overwrite"], ["--resume"]])
def test_the_lock_file_of_a_killed_run_blocks_no_other_run(
    prepared: PreparedRun, out: Path, options: list[str]
) -> None:
    kill_while_writing(prepared, out, part=1)
    assert (out / "work" / "lock").exists()
    assert prepared.explain(out, *options).exit_code == QUARANTINED
    assert_same_files(read_files(out), prepared.expected_files)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that is large enough for some shards, but not for all."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300000", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S607


def test_a_full_disk_keeps_committed_shards(
    prepared: PreparedRun, small_disk: Path, out: Path
) -> None:
    full = small_disk / "out"
    outcome = prepared.explain(full)
    assert outcome.exit_code == OUTPUT
    assert "No space left on device" in outcome.refusal()
    committed = check_committed_parts(full, prepared)
    assert prepared.explain(full, "--resume").exit_code == OUTPUT
    assert check_committed_parts(full, prepared) >= committed
    shutil.copytree(full, out)
    prepared.check_resume(out)


def check_committed_parts(out: Path, prepared: PreparedRun) -> set[str]:
    """Assert that all parts are complete and no temporary file is left; return the parts' names."""
    written = read_files(out)
    assert not [name for name in written if name.endswith(".tmp")]
    parts = {name for name in written if name.startswith("records/")}
    assert parts
    assert all(written[name] == prepared.expected_files[name] for name in parts)
    return parts


def test_a_file_size_limit_is_handled_like_a_full_disk(prepared: PreparedRun, out: Path) -> None:
    outcome = prepared.warm.run(prepared.arguments(out), file_size=100_000)
    assert outcome.exit_code == OUTPUT
    assert f"part-{LONG // SHARD_ROWS:05d}.jsonl cannot be written" in outcome.refusal()
    assert len(check_committed_parts(out, prepared)) == LONG // SHARD_ROWS
    prepared.check_resume(out)


def test_a_disk_too_small_for_the_plan_is_an_output_error(prepared: PreparedRun, out: Path) -> None:
    outcome = prepared.warm.run(prepared.arguments(out), file_size=1000)
    assert outcome.exit_code == OUTPUT
    assert "cannot be written" in outcome.refusal()
    prepared.check_resume(out)


@pytest.mark.parametrize("path", ["/proc/out", "/dev/null/out", "/proc/self/out/out"])
def test_the_error_names_a_path_where_no_folder_can_be_created(
    prepared: PreparedRun, path: str
) -> None:
    outcome = prepared.explain(Path(path))
    assert outcome.exit_code in {USAGE, OUTPUT}
    assert path in outcome.refusal()


@pytest.mark.parametrize("options", [[], ["--resume"], ["--overwrite"], ["--shard", "1/1"]])
@pytest.mark.parametrize("name", ["", "records", "work", "pages"])
def test_a_symbolic_link_to_a_folder_is_refused(
    prepared: PreparedRun, out: Path, tmp_path: Path, name: str, options: list[str]
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    link = out / name if name else out
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target, target_is_directory=True)
    outcome = prepared.explain(out, *options)
    assert outcome.exit_code == USAGE, outcome.stderr
    outcome.refusal()
    assert list(target.iterdir()) == []


LINKS = [
    "records/part-00003.jsonl.tmp",
    "records/part-00003.jsonl",
    "work/00003.json.tmp",
    "work/00003.json",
    "manifest.json.tmp",
    "index.html.tmp",
    "index.html",
    "pages/page-0001.html.tmp",
    "work/00003.journal",
    "work/lock",
]


@pytest.mark.parametrize("name", LINKS)
def test_nothing_is_written_through_a_symbolic_link(
    prepared: PreparedRun, out: Path, tmp_path: Path, name: str
) -> None:
    kill_while_writing(prepared, out, part=2)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    link = out / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(victim)
    outcome = prepared.explain(out, "--resume")
    assert victim.read_bytes() == b"mine"
    if outcome.exit_code == QUARANTINED:
        assert_same_files(read_files(out), prepared.expected_files)
        assert not link.is_symlink()
    else:
        assert outcome.exit_code in {USAGE, OUTPUT}
        assert str(link) in outcome.refusal()
