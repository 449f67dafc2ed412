"""A run is resumed only with the same model, texts and options that it was started with."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.faults import (
    INTERRUPTED,
    QUARANTINED,
    TERMINATED,
    Files,
    PreparedRun,
    assert_same_files,
    kill_while_writing,
    read_files,
    start_from_pipe,
    wait_for,
    wait_seconds,
)
from tests.support.shell import USAGE

CHANGED_OPTIONS = {
    "--noise": ["--noise", "0.02"],
    "--samples": ["--samples", "4"],
    "--seed": ["--seed", "1"],
    "--target": ["--target", "ham"],
    "--max-length": ["--max-length", "16"],
    "--dtype": ["--dtype", "bfloat16"],
    "--batch-tokens": ["--batch-tokens", "300"],
    "--reduction": ["--reduction", "l2"],
    "--shard-rows": ["--shard-rows", "50"],
    "--limit": ["--limit", "500"],
    "--text-column": ["--text-column", "id"],
    "--label-column": ["--label-column", "id"],
    "--stride": ["--stride", "4"],
    "--attention": ["--attention", "eager"],
}


@pytest.fixture(scope="module")
def unfinished(prepared: PreparedRun) -> Path:
    """The folder of a run that was killed; tests must not change it."""
    out = prepared.home / "unfinished"
    kill_while_writing(prepared, out, part=2)
    return out


@pytest.mark.parametrize("option", CHANGED_OPTIONS)
@pytest.mark.parametrize("resume", [["--resume"], ["--shard", "1/2"]])
def test_a_run_is_not_resumed_with_other_options(
    prepared: PreparedRun, unfinished: Path, option: str, resume: list[str]
) -> None:
    before = read_files(unfinished)
    outcome = prepared.explain(unfinished, *resume, *CHANGED_OPTIONS[option])
    assert outcome.exit_code == USAGE, outcome.stderr
    assert option in outcome.refusal()
    assert read_files(unfinished) == before


def change_model(prepared: PreparedRun, home: Path) -> dict[str, Path | str]:
    model = shutil.copytree(prepared.model, home / "bert")
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    return {"model": model}


def change_tokenizer(prepared: PreparedRun, home: Path) -> dict[str, Path | str]:
    model = shutil.copytree(prepared.model, home / "bert")
    path = model / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    return {"model": model}


def change_input(prepared: PreparedRun, home: Path) -> dict[str, Path | str]:
    texts = home / "texts.jsonl"
    texts.write_bytes(prepared.texts.read_bytes().replace(b'"ham"', b'"HAM"', 1))
    return {"texts": texts}


def shorten_input(prepared: PreparedRun, home: Path) -> dict[str, Path | str]:
    texts = home / "texts.jsonl"
    texts.write_bytes(prepared.texts.read_bytes()[:-1])
    return {"texts": texts}


@pytest.mark.parametrize("resume", [["--resume"], ["--shard", "1/2"]])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_model, "model"),
        (change_tokenizer, "tokenizer"),
        (change_input, "texts.jsonl"),
        (shorten_input, "texts.jsonl"),
    ],
)
def test_a_run_is_not_resumed_with_other_files(
    prepared: PreparedRun,
    unfinished: Path,
    tmp_path: Path,
    change: Callable[[PreparedRun, Path], dict[str, Path | str]],
    named: str,
    resume: list[str],
) -> None:
    before = read_files(unfinished)
    outcome = prepared.explain(unfinished, *resume, **change(prepared, tmp_path))
    assert outcome.exit_code == USAGE, outcome.stderr
    assert named in outcome.refusal()
    assert read_files(unfinished) == before


@pytest.mark.parametrize(
    "options",
    [
        ["--resume", "--overwrite"],
        ["--shard", "1/2", "--overwrite"],
        ["--shard", "1/2", "--fail-on", "accuracy<0.9"],
        ["--shard", "0/2"],
        ["--shard", "3/2"],
        ["--shard", "1"],
        ["--shard", "1/0"],
        ["--shard", "a/b"],
        ["--shard-rows", "0"],
    ],
    ids=" ".join,
)
def test_options_that_cannot_be_combined_are_refused(
    prepared: PreparedRun, out: Path, options: list[str]
) -> None:
    outcome = prepared.explain(out, *options)
    assert outcome.exit_code == USAGE
    assert options[0] in outcome.stderr
    assert not out.exists()


@pytest.fixture(scope="module")
def piped(prepared: PreparedRun) -> Files:
    """The files of an uninterrupted run over standard input."""
    out = prepared.home / "piped"
    assert (
        start_from_pipe(prepared, out, prepared.texts.read_bytes()).outcome().exit_code
        == QUARANTINED
    )
    return read_files(out)


def test_standard_input_is_kept_until_a_run_is_finished(
    prepared: PreparedRun, piped: Files, out: Path
) -> None:
    running = start_from_pipe(prepared, out, prepared.texts.read_bytes())
    wait_for((out / "records" / "part-00002.jsonl.tmp").exists, running)
    running.kill()
    running.outcome()
    assert (out / "work" / "input").read_bytes() == prepared.texts.read_bytes()
    outcome = prepared.explain(out, "--resume", texts="-")
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    assert_same_files(read_files(out), piped)


def test_standard_input_of_a_resumed_run_is_compared_with_the_copy(
    prepared: PreparedRun, piped: Files, out: Path
) -> None:
    content = prepared.texts.read_bytes()
    running = start_from_pipe(prepared, out, content)
    wait_for((out / "records" / "part-00002.jsonl.tmp").exists, running)
    running.kill()
    running.outcome()
    before = read_files(out)
    for other in (content.replace(b'"ham"', b'"HAM"', 1), content[:-1], content + b"\n"):
        outcome = start_from_pipe(prepared, out, other, "--resume").outcome()
        assert outcome.exit_code == USAGE, outcome.stderr
        assert "standard input is another input" in outcome.refusal()
        assert read_files(out) == before
    outcome = start_from_pipe(prepared, out, content, "--resume").outcome()
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    assert_same_files(read_files(out), piped)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED), (signal.SIGKILL, -9)],
)
def test_a_run_whose_input_stalls_can_be_stopped_and_resumed(
    prepared: PreparedRun, piped: Files, out: Path, number: signal.Signals, code: int
) -> None:
    content = prepared.texts.read_bytes()
    running = start_from_pipe(prepared, out, content[: len(content) // 2], ends=False)
    wait_seconds(running, 1)
    running.kill(number)
    assert running.outcome().exit_code == code
    outcome = start_from_pipe(prepared, out, content, "--resume").outcome()
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    assert_same_files(read_files(out), piped)


def test_a_run_with_overwrite_does_not_read_the_spooled_input_of_the_earlier_run(
    prepared: PreparedRun, piped: Files, out: Path
) -> None:
    content = prepared.texts.read_bytes()
    running = start_from_pipe(prepared, out, content[: len(content) // 2])
    wait_for((out / "records" / "part-00001.jsonl.tmp").exists, running)
    running.kill()
    running.outcome()
    outcome = start_from_pipe(prepared, out, content, "--overwrite").outcome()
    assert outcome.exit_code == QUARANTINED, outcome.stderr
    assert_same_files(read_files(out), piped)


@pytest.mark.parametrize(
    "damage",
    [
        {"planned": "many"},
        {"planned": 10**6},
        {"shards": {"rows": 0, "offsets": [0], "lines": [1]}},
        {"shards": {"rows": 20, "offsets": [0, None], "lines": [1, 2]}},
        {"shards": {"rows": 20, "offsets": [0], "lines": []}},
        {"shards": None},
        {"batch_tokens": "2"},
    ],
    ids=str,
)
def test_a_damaged_plan_is_reported_in_one_line(
    prepared: PreparedRun, unfinished: Path, out: Path, damage: dict[str, object]
) -> None:
    shutil.copytree(unfinished, out)
    manifest = out / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | damage))
    outcome = prepared.explain(out, "--resume")
    assert outcome.exit_code == USAGE
    assert "manifest.json" in outcome.refusal()
