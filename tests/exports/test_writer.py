"""`saliency export --output` replaces no file but one that it was told to replace."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.support.exports import export, exported
from tests.support.runs import manifest, varied, write_run

SAVE_CSV = ["--format", "csv", "--output"]
CSV = exported(varied(), "csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", varied())


def refused(folder: Path, output: Path, *options: str) -> str:
    """Run an export that must be refused and change nothing; return its message."""
    before = output.read_bytes() if output.is_file() else None
    names = sorted(folder.parent.rglob("*"))
    message = export(folder, *SAVE_CSV, output, *options, code=2).stderr
    assert (output.read_bytes() if output.is_file() else None) == before
    assert sorted(folder.parent.rglob("*")) == names
    return message


def test_an_existing_file_is_replaced_only_with_overwrite(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "table.csv"
    output.write_text("mine")
    assert "add --overwrite" in refused(folder, output)
    export(folder, *SAVE_CSV, output, "--overwrite")
    assert output.read_bytes() == CSV


@pytest.mark.parametrize(
    "name", ["index.html", "manifest.json", "records/part-00000.jsonl", "table.csv"]
)
@pytest.mark.parametrize("options", [(), ("--overwrite",)])
def test_no_file_is_written_into_the_folder_of_the_run(
    folder: Path, name: str, options: tuple[str, ...]
) -> None:
    assert "inside the folder of the run" in refused(folder, folder / name, *options)
    below = folder.parent / "link"
    below.symlink_to(folder)
    assert "inside the folder of the run" in refused(folder, below / name, *options)


@pytest.mark.parametrize("name", ["", ".", "/", "kept"])
def test_a_folder_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(folder.parent)
    Path("kept").mkdir()
    message = export(folder, *SAVE_CSV, name, "--overwrite", code=2).stderr
    assert f"{Path(name)} is a folder, not a file" in message
    assert not [*Path("kept").iterdir()]


def test_a_file_with_the_name_of_the_input_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    texts.write_text("edited since")
    assert "made from" in refused(folder, texts, "--overwrite")


@pytest.mark.parametrize("kind", ["input", "model", "tokenizer"])
def test_a_file_with_the_content_of_what_the_run_read_is_not_replaced(
    tmp_path: Path, kind: str
) -> None:
    read = tmp_path / "renamed"
    read.write_bytes(b"read by the run")
    sha256 = hashlib.sha256(read.read_bytes()).hexdigest()
    hashes: dict[str, object] = {"input": None, "model": {}, "tokenizer": {}}
    hashes[kind] = sha256 if kind == "input" else {"file": sha256}
    assert {*hashes} == {*manifest([])["hashes"]}
    folder = write_run(tmp_path / "run", varied(), hashes=hashes)
    assert "made from" in refused(folder, read, "--overwrite")


def test_the_temporary_file_of_another_program_is_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv.tmp").write_text("mine")
    assert "table.csv.tmp exists" in refused(folder, tmp_path / "table.csv", "--overwrite")
    assert (tmp_path / "table.csv.tmp").read_text() == "mine"


@pytest.mark.parametrize("exists", [True, False])
def test_a_symbolic_link_to_a_file_is_not_replaced(
    folder: Path, tmp_path: Path, *, exists: bool
) -> None:
    target, output = tmp_path / "target", tmp_path / "table.csv"
    if exists:
        target.write_text("mine")
    output.symlink_to(target)
    assert "is a symbolic link" in refused(folder, output, "--overwrite")
    assert os.path.lexists(output)
    assert target.exists() == exists
