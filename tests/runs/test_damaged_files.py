"""A file of a run that is damaged by hand gives a plain message, or counts as not written."""

import json
import shutil
from collections.abc import Callable, Iterator
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.runs.crash_journal import open_journal
from saliency_cli.runs.receipts import read_receipt, write_receipt
from saliency_cli.runs.run_folder import RunFolder
from tests.support.models import TEXTS
from tests.support.shell import DONE, USAGE

QUARANTINED = 4
LINES = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
OPTIONS = ["--shard-rows", "2", "--samples", "2", "--device", "cpu", "--quiet"]
WORK_FILES = ("00000.json", "00001.journal", "token", "input", "lock")
WRITTEN_FILES = ("manifest.json", "records/part-00000.jsonl", "records/part-00002.jsonl")
INSERTED = [
    b"\xff\xfe",
    b"\x00",
    b"9" * 5000,
    b"[" * 100_000,
    b"1e999",
    b"{}",
    b"\n[]\n",
    b'"\\ud800"',
]
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, -1, 0, True, 2**63, 10**30, 1e300, "x\x1b[31m", [], {}, [[]], [5]]
)


def explain(model: Path, out: Path, *options: str) -> Result:
    """Explain the texts from standard input."""
    arguments = ["explain", str(model), "-", "--out", str(out), *OPTIONS, *options]
    return CliRunner().invoke(app, arguments, input=LINES)


@pytest.fixture(scope="module")
def finished(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of five rows in three shards; tests must not change it."""
    out = tmp_path_factory.mktemp("finished") / "out"
    assert explain(bert_folder, out).exit_code == DONE
    return out


@pytest.fixture(scope="module")
def unfinished(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as it was before its second shard was committed, with a crash in the journal."""
    folder = RunFolder(shutil.copytree(finished, tmp_path_factory.mktemp("unfinished") / "out"))
    manifest = folder.read_manifest()
    (folder.path / "work").mkdir()
    folder.lock.touch()
    folder.spool.write_text(LINES)
    folder.identity.write_text("0" * 64)
    for number in (0, 2):
        receipt = read_receipt(folder, manifest, number)
        assert receipt is not None
        write_receipt(folder, number, receipt)
    folder.part(1).unlink()
    with open_journal(folder.journal(1)) as journal:
        journal.write(attempt=None)
        journal.record_in_flight([2, 3])
        journal.write(crash_recorded=True)
        with journal.attempt([2]):
            pass
    del manifest["counts"], manifest["shards"]["sha256"]
    folder.write_manifest(manifest)
    return folder.path


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    """Yield the keys that lead to each value inside a JSON value, and to the value itself."""
    yield above
    items = [*value.items()] if isinstance(value, dict) else []
    for key, inner in [*enumerate(value)] if isinstance(value, list) else items:
        yield from places(inner, (*above, key))


def with_other_value(text: str, data: st.DataObject) -> str:
    """Return JSON with one value replaced, or removed."""
    content = {"": json.loads(text)}
    path: tuple[Any, ...] = ("", *data.draw(st.sampled_from([*places(content[""])])))
    last, inside = path[-1], reduce(getitem, path[:-1], content)
    inside[last] = data.draw(VALUES)
    if len(path) > 1 and data.draw(st.booleans()):
        del inside[last]
    return json.dumps(content[""], sort_keys=True, separators=(",", ":"))


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """Return the content of a file cut short, with bytes inserted, or with another JSON value."""
    kind = data.draw(st.sampled_from(["cut", "insert", "value"]))
    place = data.draw(st.integers(0, len(content)))
    if kind == "value" and content.startswith(b"{\n"):
        compact = with_other_value(content.decode(), data)
        return json.dumps(json.loads(compact), sort_keys=True, indent=2).encode()
    if kind == "value" and content.startswith(b"{"):
        lines = content.decode().splitlines()
        number = data.draw(st.integers(0, len(lines) - 1))
        lines[number] = with_other_value(lines[number], data)
        return "\n".join([*lines, ""]).encode()
    if kind == "insert":
        return content[:place] + data.draw(st.sampled_from(INSERTED)) + content[place:]
    return content[:place]


def assert_told_or_ignored(result: Result, folder: Path) -> None:
    """Assert that a command worked, or ended with one line that names the folder, and a hint."""
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.exit_code in {DONE, USAGE, QUARANTINED}, result.stderr
    if result.exit_code == USAGE:
        error, *hints = result.stderr.splitlines()
        assert error.startswith("error: ")
        assert str(folder) in error
        assert [hint[:6] for hint in hints] == ["hint: "]
        assert all(line.isprintable() for line in (error, *hints))


def copy_with_damage(original: Path, home: Path, file: str, data: st.DataObject) -> Path:
    """Return a copy of a run's folder with one file damaged."""
    shutil.rmtree(home / "out", ignore_errors=True)
    folder = shutil.copytree(original, home / "out")
    path = folder / file
    path.write_bytes(damaged(path.read_bytes(), data))
    return folder


@settings(max_examples=20)
@given(file=st.sampled_from(WORK_FILES), data=st.data())
def test_a_damaged_working_file_is_told_of_or_ignored(
    unfinished: Path, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory,
    file: str, data: st.DataObject,
) -> None:  # fmt: skip
    home = tmp_path_factory.mktemp("damaged")
    folder = copy_with_damage(unfinished, home, f"work/{file}", data)
    assert_told_or_ignored(CliRunner().invoke(app, ["report", str(folder)]), folder)
    assert_told_or_ignored(explain(bert_folder, folder, "--resume"), folder)


@settings(max_examples=60)
@given(file=st.sampled_from(WRITTEN_FILES), data=st.data())
def test_a_damaged_manifest_or_part_is_told_of(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, file: str, data: st.DataObject
) -> None:
    home = tmp_path_factory.mktemp("damaged")
    folder = copy_with_damage(finished, home, file, data)
    for command in (["export", str(folder), "--format", "csv"], ["report", str(folder)]):
        assert_told_or_ignored(CliRunner().invoke(app, command), folder)


@settings(max_examples=20)
@given(file=st.sampled_from(WRITTEN_FILES), data=st.data())
def test_a_run_with_a_damaged_manifest_or_part_is_resumed_or_refused(
    unfinished: Path, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory,
    file: str, data: st.DataObject,
) -> None:  # fmt: skip
    home = tmp_path_factory.mktemp("damaged")
    folder = copy_with_damage(unfinished, home, file, data)
    assert_told_or_ignored(explain(bert_folder, folder, "--resume"), folder)


def with_sums(changes: dict[str, Any]) -> Callable[[dict[str, Any]], object]:
    return lambda receipt: receipt["sums"].update(changes)


@pytest.mark.parametrize(
    "damage",
    [
        lambda receipt: receipt.update(sums=None),
        lambda receipt: receipt.update(sums={}),
        lambda receipt: receipt.update(time=1),
        lambda receipt: receipt["sums"].pop("ok"),
        with_sums({"ok": "2"}),
        with_sums({"ok": True}),
        with_sums({"truncated": -1}),
        with_sums({"flip_rate": float("nan")}),
        with_sums({"special_share": float("inf")}),
    ],
)
def test_a_damaged_receipt_commits_no_shard(
    unfinished: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "out")
    path = folder / "work" / "00000.json"
    receipt = json.loads(path.read_bytes())
    damage(receipt)
    path.write_text(json.dumps(receipt, sort_keys=True) + "\n", encoding="utf-8")
    result = CliRunner().invoke(app, ["report", str(folder)])
    assert (result.exit_code, result.exception.__class__) == (USAGE, SystemExit)
    assert f"2 of 3 shards are missing in {folder}: 0, 1" in result.stderr


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x1f\x8bxx", b'{"text": "free"}\n'])
def test_a_changed_copy_of_the_input_is_named(
    unfinished: Path, bert_folder: Path, tmp_path: Path, content: bytes
) -> None:
    folder = shutil.copytree(unfinished, tmp_path / "out")
    (folder / "work" / "input").write_bytes(content)
    result = explain(bert_folder, folder, "--resume")
    assert result.exit_code == USAGE
    assert f"{folder}/work/input is not the copy of the input that the run made" in result.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_tokens": 0}, "batch_tokens is out of range"),
        ({"dtype": "float8"}, "--dtype was float8, and is float32"),
    ],
)
def test_a_plan_that_no_run_can_have_is_not_resumed(
    unfinished: Path, bert_folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = RunFolder(shutil.copytree(unfinished, tmp_path / "out"))
    folder.write_manifest(folder.read_manifest() | changes)
    result = explain(bert_folder, folder.path, "--resume")
    assert (result.exit_code, message in result.stderr) == (USAGE, True), result.stderr


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("options", {"html_rows": -1}, "options.html_rows is out of range"),
        ("counts", {"special_share": None}, "counts.special_share is damaged"),
        ("counts", {"accuracy": -1}, "counts.accuracy is out of range"),
        ("counts", {"ok": 4}, "counts.rows is not the sum of ok and quarantined"),
        ("shards", {"sha256": None}, "shards.sha256 is damaged"),
    ],
)
def test_a_finished_run_with_numbers_that_no_run_has_is_refused(
    finished: Path, tmp_path: Path, part: str, changes: dict[str, Any], message: str
) -> None:
    folder = RunFolder(shutil.copytree(finished, tmp_path / "out"))
    manifest = folder.read_manifest()
    folder.write_manifest(manifest | {part: manifest[part] | changes})
    result = CliRunner().invoke(app, ["report", str(folder.path)])
    assert (result.exit_code, message in result.stderr) == (USAGE, True), result.stderr
