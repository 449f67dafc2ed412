"""No command changes a file that no run wrote; one that fails changes nothing."""

import hashlib
import json
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.runs.plain_files import special_kind
from tests.support.runs import read_records, record, write_run
from tests.support.shell import CHECKPOINT, DONE, OUTPUT, USAGE, Shell

Tree = dict[str, tuple[int, int, bytes | str | None]]
NAMES = (
    "index.html",
    "index.html.tmp",
    "manifest.json",
    "manifest.json.tmp",
    "pages/page-0001.html",
    "pages/page-0009.html",
    "pages/index-0001.js",
    "pages/page-0001.html.tmp",
    "records/part-00000.jsonl",
    "records/part-00007.jsonl",
    "records/part-00000.jsonl.tmp",
    "work/lock",
    "work/input",
    "work/input.tmp",
    "work/token",
    "work/00000.json",
    "work/00000.json.tmp",
    "work/00000.journal",
    "thesis.txt",
    "pages/thesis.txt",
    "records/thesis.jsonl",
    "work/thesis.txt",
)
"""Paths at which a user's file may be: those of a run's files, and others."""
BROKEN, MISSING = "broken.pt", "nope.pt"
EXPLAIN = [
    ["explain", model, "texts.jsonl", "--out", "z", *options]
    for model in (BROKEN, MISSING)
    for options in ([], ["--overwrite"], ["--resume"], ["--shard", "1/2"])
]
COMMANDS = [*EXPLAIN, ["report", "z"], ["export", "z", "--format", "csv", "--output", "z.csv"]]


def tree(folder: Path) -> Tree:
    """Return inode, mode and content of everything below a folder; no special file is read."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content: bytes | str | None = str(path.readlink()) if path.is_symlink() else None
        if content is None and path.is_file() and status.st_size < 2**20:
            content = path.read_bytes()
        is_folder = path.is_dir() and not path.is_symlink()
        inode = 0 if is_folder else status.st_ino
        found[str(path.relative_to(folder))] = inode, status.st_mode, content
    return found


def run(home: Path, arguments: list[str]) -> Result:
    """Run a command whose relative paths are those of `home`."""
    files = {"z", "z.csv", "texts.jsonl", BROKEN, MISSING}
    placed = [str(home / each) if each in files else each for each in arguments]
    result = CliRunner().invoke(app, placed)
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def write_home(home: Path) -> Path:
    """Write texts and a damaged model into a folder, and return the path for the run."""
    (home / "texts.jsonl").write_text('{"text": "free call now"}\n')
    (home / BROKEN).write_bytes(b"no model")
    (home / "config.json").write_text('{"model_type": "bert"}')
    return home / "z"


def plant(path: Path, content: bytes = b"mine") -> None:
    """Write a user's file in place of what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def finished(out: Path) -> None:
    write_run(out, [record(0, "free call now")])


def finished_with_pages(out: Path) -> None:
    write_run(out, [record(number, "free") for number in range(501)])


def without_manifest(out: Path) -> None:
    finished_with_pages(out)
    (out / "manifest.json").unlink()


def with_damaged_manifest(out: Path) -> None:
    finished(out)
    manifest = out / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-9])


def with_lock(out: Path) -> None:
    finished(out)
    plant(out / "work" / "lock", b"")


BASES: tuple[Callable[[Path], object], ...] = (
    lambda _out: None,
    Path.mkdir,
    finished,
    finished_with_pages,
    without_manifest,
    with_damaged_manifest,
    with_lock,
)
contents = st.binary(max_size=20).map(lambda end: b"mine" + end)


@given(
    base=st.sampled_from(BASES),
    plants=st.dictionaries(st.sampled_from(NAMES), contents, max_size=3),
    arguments=st.sampled_from(COMMANDS),
)
def test_no_command_changes_a_file_that_no_run_wrote(
    tmp_path_factory: pytest.TempPathFactory,
    base: Callable[[Path], object],
    plants: dict[str, bytes],
    arguments: list[str],
) -> None:
    home = tmp_path_factory.mktemp("home")
    out = write_home(home)
    base(out)
    for name, content in plants.items():
        plant(out / name, content)
    before = tree(home)
    result = run(home, arguments)
    after = tree(home)
    if result.exit_code != DONE:
        assert after == before
    for name in plants:
        assert after[f"z/{name}"] == before[f"z/{name}"]


@pytest.mark.parametrize("arguments", EXPLAIN[:4], ids=" ".join)
@pytest.mark.parametrize("name", NAMES)
def test_a_foreign_file_with_the_name_of_a_runs_file_is_named_and_kept(
    tmp_path: Path, name: str, arguments: list[str]
) -> None:
    out = write_home(tmp_path)
    plant(out / name)
    before = tree(tmp_path)
    result = run(tmp_path, arguments)
    assert result.exit_code == USAGE
    assert f"saliency did not write {out / name}\n" in result.stderr
    assert tree(tmp_path) == before


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def sparse(path: Path, _victim: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2**40)


SPECIAL: dict[str, Callable[[Path, Path], object]] = {
    "a symbolic link": link,
    "a file with another hard link": lambda path, victim: path.hardlink_to(victim),
    "a FIFO": lambda path, _victim: os.mkfifo(path),
    "a folder": lambda path, _victim: path.mkdir(),
    "a sparse file": sparse,
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize(
    "name", ["index.html", "manifest.json", "records/part-00000.jsonl", "work/lock"]
)
@pytest.mark.parametrize("options", [["--overwrite"], ["--resume"], ["--shard", "1/2"]])
def test_a_special_file_among_those_of_a_run_is_refused_without_reading_it(
    tmp_path: Path, kind: str, name: str, options: list[str]
) -> None:
    out = write_home(tmp_path)
    finished(out)
    replace_by_special(out / name, kind)
    before = tree(tmp_path)
    result = run(tmp_path, ["explain", BROKEN, "texts.jsonl", "--out", "z", *options])
    assert result.exit_code == USAGE
    assert f"{out / name} ({kind})" in result.stderr
    assert tree(tmp_path) == before


def replace_by_special(path: Path, kind: str) -> None:
    """Replace a file by a special one; a link is to a copy of the file."""
    victim = path.parents[2] / "victim"
    victim.write_bytes(path.read_bytes() if path.exists() else b"")
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    SPECIAL[kind](path, victim)
    assert special_kind(path) == kind


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("name", ["manifest.json", "records/part-00000.jsonl"])
@pytest.mark.parametrize("arguments", COMMANDS[-2:], ids=" ".join)
def test_report_and_export_read_no_special_file(
    tmp_path: Path, kind: str, name: str, arguments: list[str]
) -> None:
    out = write_home(tmp_path)
    finished(out)
    replace_by_special(out / name, kind)
    before = tree(tmp_path)
    result = run(tmp_path, arguments)
    assert result.exit_code == USAGE
    assert f"{out / name} is {kind}" in result.stderr
    assert tree(tmp_path) == before


@pytest.mark.parametrize("base", [Path.mkdir, finished, finished_with_pages, with_lock])
@pytest.mark.parametrize("options", [["--overwrite"], ["--resume"]])
def test_a_refused_model_leaves_an_earlier_run_as_it_was(
    tmp_path: Path, base: Callable[[Path], object], options: list[str]
) -> None:
    base(write_home(tmp_path))
    before = tree(tmp_path)
    for model in (BROKEN, MISSING):
        arguments = ["explain", model, "texts.jsonl", "--out", "z", *options]
        assert run(tmp_path, arguments).exit_code in {USAGE, CHECKPOINT}
        assert tree(tmp_path) == before


def test_texts_without_rows_leave_an_earlier_run_as_it_was(
    bert_folder: Path, tmp_path: Path
) -> None:
    shell = Shell.beside(bert_folder, tmp_path)
    finished(shell.out)
    before = tree(shell.out)
    empty = shell.write("empty.csv", "text,label\n")
    assert "holds no row" in shell.refused(USAGE, "--overwrite", texts=empty)
    assert tree(shell.out) == before
    assert "holds no row" in explain_stream(shell, b"").stderr
    assert tree(shell.out) == before


def explain_stream(shell: Shell, content: bytes) -> Result:
    """Replace a run by one over standard input."""
    options = ("--overwrite", "--input-format", "jsonl")
    return CliRunner().invoke(app, shell.arguments(*options, texts="-"), input=content)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write no file of more bytes within the block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_stream_that_cannot_be_copied_leaves_an_earlier_run_as_it_was(shell: Shell) -> None:
    finished(shell.out)
    before = tree(shell.out)
    with largest_file(2**16):
        result = explain_stream(shell, b'{"text": "free call now"}\n' * 10_000)
    assert result.exit_code == OUTPUT
    assert "cannot be written" in result.stderr
    assert tree(shell.out) == before


def test_a_stream_replaces_an_unfinished_run_over_a_stream(shell: Shell) -> None:
    """The copy that a dead process was writing is removed; the whole one stays until then."""
    digest = hashlib.sha256(b"text\nold\n").hexdigest()
    hashes = {"input": digest, "model": {}, "tokenizer": {}}
    write_run(shell.out, [record(0, "old")], hashes=hashes)
    for name, content in (("lock", b""), ("input", b"text\nold\n"), ("input.tmp", b"text\nn")):
        plant(shell.out / "work" / name, content)
    assert "holds no row" in explain_stream(shell, b"").stderr
    assert (shell.out / "work" / "input").read_bytes() == b"text\nold\n"
    assert explain_stream(shell, b'{"text": "free call"}\n').exit_code == DONE
    assert [each["text"] for each in read_records(shell.out)] == ["free call"]
    assert not (shell.out / "work").exists()


@pytest.mark.parametrize("name", ["records", "work", "pages"])
def test_a_failed_start_keeps_an_empty_folder_that_was_there(tmp_path: Path, name: str) -> None:
    (write_home(tmp_path) / name).mkdir(parents=True)
    before = tree(tmp_path)
    assert run(tmp_path, EXPLAIN[0]).exit_code == CHECKPOINT
    assert tree(tmp_path) == before


def test_a_line_added_to_the_records_stops_overwrite(bert_folder: Path, tmp_path: Path) -> None:
    shell = Shell.beside(bert_folder, tmp_path)
    assert shell.explain().exit_code == DONE
    part = shell.out / "records" / "part-00000.jsonl"
    part.write_bytes(part.read_bytes() + b"a note\n")
    before = tree(shell.out)
    for option in ("--overwrite", "--resume"):
        assert str(part) in shell.refused(USAGE, option)
    assert tree(shell.out)["records/part-00000.jsonl"] == before["records/part-00000.jsonl"]


def test_pages_of_the_users_templates_can_be_replaced(tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "index.html.j2").write_text("<p>{{ rows_read }} rows</p>")
    out = write_run(tmp_path / "z", [record(0, "free")], template_dir=templates)
    assert (out / "index.html").read_text().startswith("<p>1 rows</p>")
    assert run(tmp_path, ["report", "z"]).exit_code == DONE
    assert b"<p>1 rows</p>" not in (out / "index.html").read_bytes()


@pytest.mark.parametrize("name", ["index.html", "pages/page-0002.html", "pages/index-0001.js"])
def test_a_page_that_was_edited_is_named_and_kept(shell: Shell, name: str) -> None:
    finished_with_pages(shell.out)
    page = shell.out / name
    page.write_bytes(page.read_bytes()[:-300] + b"~" + page.read_bytes()[-299:])
    before = tree(shell.home)
    for result in (run(shell.home, ["report", str(shell.out)]), shell.explain("--overwrite")):
        assert result.exit_code == USAGE
        assert f"{page} (changed since it was written)" in result.stderr
        assert tree(shell.home) == before


def test_report_refuses_a_page_that_no_run_wrote_before_it_changes_anything(tmp_path: Path) -> None:
    out = tmp_path / "z"
    finished_with_pages(out)
    plant(out / "pages" / "page-0007.html")
    before = tree(tmp_path)
    result = run(tmp_path, ["report", "z"])
    assert result.exit_code == USAGE
    assert "page-0007.html" in result.stderr
    assert tree(tmp_path) == before


def test_a_manifest_of_an_older_schema_shows_that_a_run_may_be_replaced(
    bert_folder: Path, tmp_path: Path
) -> None:
    shell = Shell.beside(bert_folder, tmp_path)
    finished(shell.out)
    manifest = shell.out / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"schema": 1}))
    assert shell.explain("--overwrite").exit_code == DONE
