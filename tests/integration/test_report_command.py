"""`saliency report`: the same pages from the same records, and an error for a damaged run."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.errors import UsageError
from saliency_cli.exports import EXPORTS
from saliency_cli.report import render
from saliency_cli.runs.finished_run import FinishedRun, open_run
from saliency_cli.runs.record_lines import record_line
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.settings import PageChoice
from tests.support.paths import ROOT
from tests.support.runs import manifest, read_records, record, varied, write_run

MANY = 501
DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "schema": lambda record: record.update(schema=1),
    "status": lambda record: record.update(status="fine"),
    "text": lambda record: record.update(text=5),
    "scores is missing": lambda record: record.pop("scores"),
    "scores": lambda record: record["scores"].pop(),
    "offsets": lambda record: record["offsets"].append([0, 0]),
    "offsets or segments": lambda record: record["offsets"].__setitem__(1, [0, 10**6]),
    "special": lambda record: record["special"].__setitem__(0, 1),
    "tokens": lambda record: record["tokens"].__setitem__(0, None),
    "errors": lambda record: record["errors"].__setitem__(0, "x"),
    "others": lambda record: record.update(others=[1]),
    "target is missing": lambda record: record.update(others=[{}]),
    "predicted, probability": lambda record: record.update(predicted=None),
    "probabilities": lambda record: record.update(probabilities={"ham": None}),
    "windows": lambda record: record.update(windows=True),
}


def report(folder: Path, *options: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["report", str(folder), *map(str, options)])
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    return result


def files(folder: Path) -> dict[str, bytes]:
    """Return relative path -> content of all files below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def many(path: Path) -> Path:
    """Write a run with more rows than one page has."""
    return write_run(path, [record(ordinal, "free call now") for ordinal in range(MANY)])


@pytest.mark.parametrize("reduction", ["l2", "dot"])
def test_the_same_records_give_the_same_bytes(tmp_path: Path, reduction: str) -> None:
    folder = write_run(tmp_path / "run", varied(), reduction=reduction)
    before = files(folder)
    (folder / "index.html").unlink()
    report(folder)
    assert files(folder) == before


def test_pages_are_overwritten_and_superfluous_pages_are_deleted(tmp_path: Path) -> None:
    folder = many(tmp_path / "run")
    (folder / "pages" / "mine.txt").write_text("a user's file")
    before = files(folder)
    assert {"pages/page-0001.html", "pages/page-0002.html"} <= set(before)
    report(folder, "--html-rows", 2)
    shrunk = files(folder)
    assert {name for name in shrunk if name.startswith("pages/")} == {"pages/mine.txt"}
    assert shrunk["index.html"].count(b'class="row') == 2
    assert shrunk["manifest.json"] == before["manifest.json"]
    report(folder)
    assert files(folder) == before


def test_neither_report_nor_export_nor_help_imports_torch(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    program = (
        "import sys; from typer.testing import CliRunner; from saliency_cli.cli.app import app\n"
        f"for words in ('report {folder}', 'export {folder} --format csv', '--help', 'show --help',"
        "    'explain --help', 'inspect --help'):\n"
        "    assert CliRunner().invoke(app, words.split()).exit_code == 0, words\n"
        "slow = {'torch', 'transformers', 'tokenizers', 'numpy', 'pyarrow'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("make", "message_part"),
    [
        (lambda _folder: None, "no such folder"),
        (lambda folder: folder.write_text("a file"), "no such folder"),
        (lambda folder: folder.mkdir(), "no finished run"),
    ],
)
def test_a_path_that_is_not_a_finished_run_is_refused(
    tmp_path: Path, make: Callable[[Path], object], message_part: str
) -> None:
    make(tmp_path / "run")
    assert message_part in report(tmp_path / "run", code=2).stderr


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    (folder / "manifest.json").rename(folder / "manifest.json.tmp")
    assert "no finished run" in report(folder, code=2).stderr


@pytest.mark.parametrize(
    ("content", "message_part"),
    [
        (b"", "is damaged"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff\xfe", "is damaged"),
        (b"[]", "not a JSON object"),
        (b'{"schema": NaN}', "NaN is not valid JSON"),
        (b"{}", "its schema is None"),
        (b'{"schema": 1}', "its schema is 1, but this version reads schema 2"),
        (b'{"schema": 2}', "versions is missing"),
        (b'{"schema": "\\u001b[31m"}', r"\x1b[31m"),
    ],
)
def test_a_damaged_manifest_is_refused_with_the_reason(
    tmp_path: Path, content: bytes, message_part: str
) -> None:
    folder = write_run(tmp_path / "run", varied())
    (folder / "manifest.json").write_bytes(content)
    message = report(folder, code=2).stderr
    assert "manifest.json" in message
    assert message_part in message


@pytest.mark.parametrize(
    ("part", "key"), [("counts", "accuracy"), ("options", "html_rows"), ("model", "labels")]
)
def test_a_missing_key_of_the_manifest_is_reported(tmp_path: Path, part: str, key: str) -> None:
    folder = write_run(tmp_path / "run", varied())
    incomplete = manifest(varied())
    del incomplete[part][key]
    RunFolder(folder).write_manifest(incomplete)
    assert f"{part}.{key} is missing" in report(folder, code=2).stderr


@pytest.mark.parametrize("message_part", DAMAGE)
def test_a_damaged_record_is_reported_with_its_line_and_no_page_changes(
    tmp_path: Path, message_part: str
) -> None:
    folder = write_run(tmp_path / "run", varied())
    records = read_records(folder)
    DAMAGE[message_part](records[1])
    lines = "".join(json.dumps(each) + "\n" for each in records)
    (folder / "records" / "part-00000.jsonl").write_text(lines, encoding="utf-8")
    before = files(folder)
    message = report(folder, code=2).stderr
    assert "part-00000.jsonl, line 2" in message
    assert message_part in message
    assert files(folder) == before


@pytest.mark.parametrize("line", [b"\xe9", b"{", b'"\\ud800"', b"1e999", b'{"schema": 1e999}', b""])
def test_a_line_that_is_not_a_record_is_reported(tmp_path: Path, line: bytes) -> None:
    folder = write_run(tmp_path / "run", varied())
    part = folder / "records" / "part-00000.jsonl"
    lines = part.read_bytes().splitlines()
    part.write_bytes(b"\n".join([lines[0], line, *lines[2:]]) + b"\n")
    assert "part-00000.jsonl, line 2" in report(folder, code=2).stderr


@pytest.mark.parametrize("change", [lambda lines: lines[:-1], lambda lines: [*lines, lines[-1]]])
def test_more_or_fewer_records_than_in_the_manifest_are_refused(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    folder = write_run(tmp_path / "run", varied())
    part = folder / "records" / "part-00000.jsonl"
    part.write_bytes(b"".join(change(part.read_bytes().splitlines(keepends=True))))
    assert "counts 10 rows" in report(folder, code=2).stderr


def test_a_missing_file_of_records_is_reported(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    (folder / "records" / "part-00000.jsonl").unlink()
    assert "part-00000.jsonl" in report(folder, code=2).stderr


@given(st.data())
def test_no_damage_to_a_record_causes_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("run")
    records = [record(0, "free call now")]
    names = sorted(records[0])
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
    changed = records[0] | {data.draw(st.sampled_from(names)): data.draw(values | st.lists(values))}
    RunFolder(folder).clear()
    RunFolder(folder).write_manifest(manifest(records))
    RunFolder(folder).part(0).write_text(json.dumps(changed) + "\n", encoding="utf-8")
    run = open_run(folder)
    if _refused(run):
        with pytest.raises(UsageError, match="line 1"):
            run.check_records()
    else:
        render(run.folder, PageChoice())
        for name, each in EXPORTS.items():
            assert each.binary or all(isinstance(chunk, bytes) for chunk in each.encode(run)), name
    shutil.rmtree(folder)


@given(st.data())
def test_no_damage_to_the_manifest_causes_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    records = [record(0, "free call now")]
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.clear()
    with folder.record_writer() as writer:
        writer.write(records[0])
    changed: dict[str, Any] = manifest(records)
    part = data.draw(st.sampled_from(sorted(changed)))
    inside = changed[part] if isinstance(changed[part], dict) else changed
    key = data.draw(st.sampled_from(sorted(inside))) if inside is not changed else part
    del inside[key]
    if data.draw(st.booleans()):
        inside[key] = data.draw(
            st.none() | st.integers() | st.text(max_size=3) | st.lists(st.text())
        )
    folder.write_manifest(changed)
    result = CliRunner().invoke(app, ["report", str(folder.path)])
    assert result.exit_code in {0, 2}, (part, key, changed, result.exception)
    assert isinstance(result.exception, SystemExit | None)
    shutil.rmtree(folder.path)


def _refused(run: FinishedRun) -> bool:
    """Return whether the check of a run raises."""
    try:
        run.check_records()
    except UsageError:
        return True
    return False


def test_a_page_that_cannot_be_written_exits_with_74(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    before = files(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        message = report(folder, code=74).stderr
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "index.html cannot be written: File too large" in message
    assert files(folder) == before


def test_a_folder_in_place_of_a_page_is_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", varied())
    (folder / "index.html").unlink()
    (folder / "index.html").mkdir()
    assert "index.html (a folder)" in report(folder, code=2).stderr


def test_a_pages_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    folder = many(tmp_path / "run")
    elsewhere = (folder / "pages").rename(tmp_path / "elsewhere")
    (folder / "pages").symlink_to(elsewhere)
    assert "is not a folder that saliency made" in report(folder, code=2).stderr
    names = {path.name for path in elsewhere.iterdir()}
    assert names == {"page-0001.html", "page-0002.html", "index-0001.js"}


def test_a_folder_of_working_files_that_is_a_link_is_refused(tmp_path: Path) -> None:
    planned = {"shards": {"rows": 10, "offsets": [0], "lines": [0]}, "planned": 10}
    folder = write_run(tmp_path / "run", varied(), **planned)
    (tmp_path / "kept").mkdir()
    (folder / "work").symlink_to(tmp_path / "kept")
    assert f"{folder / 'work'} (a symbolic link)" in report(folder, code=2).stderr
    assert not [*(tmp_path / "kept").iterdir()]


@pytest.mark.parametrize("line", [b"mine", record_line(record(7, "mine")).encode()])
def test_the_pages_show_no_records_of_a_file_that_is_not_planned(
    tmp_path: Path, line: bytes
) -> None:
    folder = write_run(tmp_path / "run", varied())
    before = (folder / "index.html").read_bytes()
    (folder / "records" / "part-00007.jsonl").write_bytes(line)
    report(folder)
    assert (folder / "index.html").read_bytes() == before
