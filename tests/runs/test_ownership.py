"""No command changes a file that no run wrote; one that fails changes nothing."""

import hashlib
import json
import os
import random
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from saliency_cli.cli.app import app
from saliency_cli.exports import EXPORTS
from saliency_cli.runs.plain_files import special_kind
from tests.support.fuzz_folders import OTHER_FILES, RUN_FILES, State, make_state
from tests.support.runs import bad_record, read_records, record, write_run
from tests.support.shell import CHECKPOINT, DONE, OUTPUT, QUARANTINED, USAGE, Shell
from tests.support.trees import changed, tree

BROKEN, MISSING = "broken.pt", "nope.pt"
TEXTS = {
    "texts.jsonl": b'{"text": "free call now"}\n{"text": "ok"}\n',
    "broken.jsonl": b'{"text": "ok"}\nno JSON\n',
    "bad.jsonl": b"no JSON\n",
    "empty.csv": b"text,label\n",
    "utf16.csv": "text\nok\n".encode("utf-16"),
}
COMMON = ("--device", "cpu", "--method", "gradient", "--shard-rows", "1")
EXPLAIN = [
    ["explain", model, texts, "--out", "z", *COMMON, *options]
    for model, texts in (
        *(("bert", name) for name in ("texts.jsonl", "texts.jsonl", *TEXTS, "nope.csv")),
        *((model, "texts.jsonl") for model in (BROKEN, MISSING)),
    )
    for options in (["--overwrite"], ["--resume"], ["--shard", "1/2"], [])
]
BAD_OPTIONS = [
    [*EXPLAIN[0], *options]
    for options in (
        *(["--target", "nope"], ["--seed", "1"], ["--max-length", "1"], ["--text-column", "nope"]),
        *(["--resume"], ["--limit", "0"], ["--template-dir", "nope"], ["--labels", "texts.jsonl"]),
    )
]
REPORT = [
    ["report", "z", *options] for options in ([], ["--html-rows", "0"], ["--template-dir", "nope"])
]
EXPORT = [
    ["export", "z", "--format", name, "--output", output, *options]
    for name in EXPORTS
    for output in (
        "new.csv",
        "kept.csv",
        "link.csv",
        "z/new.csv",
        "z/index.html",
        "texts.jsonl",
        "bert",
    )
    for options in ([], ["--overwrite"])
]
OTHERS = [["inspect", "bert"], ["inspect", BROKEN], ["show", "bert", "ok"], ["show", MISSING, "ok"]]
REFUSED = ["explain", BROKEN, "texts.jsonl", "--out", "z", "--overwrite"]
COMMANDS = (EXPLAIN, EXPLAIN, BAD_OPTIONS, REPORT, EXPORT, OTHERS)
WRITTEN = ("new.csv", "kept.csv")
"""Files that an export is told to write; it replaces the second only with `--overwrite`."""


def run(home: Path, arguments: list[str]) -> Result:
    """Run a command whose relative paths are those of `home`."""
    files = {"z", "bert", "nope.csv", BROKEN, MISSING, *TEXTS, *(c[5] for c in EXPORT)}
    placed = [str(home / each) if each in files else each for each in arguments]
    result = CliRunner().invoke(app, placed)
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def write_home(home: Path) -> Path:
    """Write texts and a damaged model into a folder, and return the path for the run."""
    home.mkdir(exist_ok=True)
    for name, content in TEXTS.items():
        (home / name).write_bytes(content)
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


def with_lock(out: Path) -> None:
    finished(out)
    plant(out / "work" / "lock", b"")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bert_folder: Path) -> Path:
    """A folder with a model that works, texts, and what an export may be told to replace."""
    home = tmp_path_factory.mktemp("home")
    write_home(home)
    shutil.copytree(bert_folder, home / "bert")
    plant(home / "kept" / "a.txt")
    plant(home / "kept.csv")
    (home / "link.csv").symlink_to("kept.csv")
    return home


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, home: Path) -> dict[str, Path]:
    """Finished and unfinished runs of the model, and a run with several pages."""
    folder = tmp_path_factory.mktemp("bases")
    for name, options in (("finished", []), ("unfinished", ["--shard", "1/2"])):
        assert run(home, [*EXPLAIN[3], *options]).exit_code == DONE
        (home / "z").rename(folder / name)
    rows = [record(number, "free") for number in range(501)]
    write_run(folder / "varied", [bad_record(0), *rows])
    return {path.name: path for path in folder.iterdir()}


def may_change(path: str, state: State, arguments: list[str]) -> bool:
    """Whether a command may change a path, which is relative to the folder of all files."""
    if arguments[0] == "export":
        overwritten = "--overwrite" in arguments or path != "kept.csv"
        return path in WRITTEN and path in arguments and overwritten
    if arguments[0] not in {"explain", "report"}:
        return False
    return path == "z" or (path.startswith("z/") and state.may_change(path.removeprefix("z/")))


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    arguments=st.sampled_from(COMMANDS).flatmap(st.sampled_from),
)
def test_no_command_changes_a_file_that_no_run_wrote(
    home: Path, bases: dict[str, Path], seed: int, arguments: list[str]
) -> None:
    state = make_state(home / "z", arguments[0], bases, random.Random(seed))  # noqa: S311
    note(f"{state.words} {arguments}")
    before = tree(home)
    try:
        result = run(home, arguments)
        differing = changed(before, tree(home))
        if result.exit_code not in {DONE, QUARANTINED}:
            # A shard that was begun leaves its journal: the file that it was to replace is checked
            # when its records are complete.
            assert [path for path in differing if not path.startswith("z/work/")] == []
        assert [path for path in differing if not may_change(path, state, arguments)] == []
    finally:
        restore(home)


def restore(home: Path) -> None:
    """Remove what an example of the property has left."""
    for path in (home / "z", home / "new.csv", *home.glob("victim-*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    plant(home / "kept.csv")


@pytest.mark.parametrize("name", RUN_FILES + OTHER_FILES)
def test_a_foreign_file_with_the_name_of_a_runs_file_is_named_and_kept(
    tmp_path: Path, name: str
) -> None:
    out = write_home(tmp_path)
    plant(out / name)
    before = tree(tmp_path)
    result = run(tmp_path, REFUSED)
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
def test_a_special_file_among_those_of_a_run_is_refused_without_reading_it(
    tmp_path: Path, kind: str, name: str
) -> None:
    out = write_home(tmp_path)
    finished(out)
    replace_by_special(out / name, kind)
    before = tree(tmp_path)
    result = run(tmp_path, REFUSED)
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
def test_report_and_export_read_no_special_file(tmp_path: Path, kind: str, name: str) -> None:
    out = write_home(tmp_path)
    finished(out)
    replace_by_special(out / name, kind)
    before = tree(tmp_path)
    for arguments in (REPORT[0], EXPORT[0]):
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
    assert run(tmp_path, REFUSED[:-1]).exit_code == CHECKPOINT
    assert tree(tmp_path) == before


def test_a_failed_start_removes_the_folders_above_that_it_made(
    bert_folder: Path, tmp_path: Path
) -> None:
    shell = Shell.beside(bert_folder, tmp_path)
    before = tree(tmp_path)
    shell.refused(USAGE, "--target", "nope", out=tmp_path / "new" / "deep" / "out")
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
