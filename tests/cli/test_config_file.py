"""`saliency.toml`: what it sets, what comes before it, and what it may not set."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from saliency_cli.cli import commands
from saliency_cli.cli.app import app, explain
from saliency_cli.cli.comparison import compare
from saliency_cli.cli.config_file import LARGEST_BYTES, ConfiguredCommand
from saliency_cli.cli.site import site
from tests.support.exports import wrong_record
from tests.support.paths import SAMPLE
from tests.support.runs import read_records, write_run

EXPLAIN = [str(SAMPLE / "model.pt"), str(SAMPLE / "texts.jsonl")]
OPTIONS = ("method", "limit", "check-words", "slice-column", "html-rows", "check-suspects")
FILE = """
[explain]
method = "gradient"
limit = 2
check-words = 0
slice-column = ["id"]
html-rows = 1
check-suspects = false
fail-on = ["rows>1", "warn:accuracy<2"]
"""
TYPED = [
    *("--method", "gradient", "--limit", "2", "--check-words", "0", "--slice-column", "id"),
    *("--html-rows", "1", "--no-check-suspects", "--fail-on", "rows>1"),
    *("--fail-on", "warn:accuracy<2"),
]
COMMANDS: dict[str, Callable[..., None]] = {
    "explain": explain,
    "inspect": commands.inspect_model,
    "report": commands.report,
    "export": commands.export,
    "show": commands.show,
    "evaluate": commands.evaluate,
    "compare": compare,
    "site": site,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def finished(folder: Path) -> Path:
    """Return the working directory with a finished run in `run`, whose one prediction is wrong."""
    write_run(folder / "run", [wrong_record(0, 0.9)])
    return folder


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == code, result.output
    return result


def refused(content: str | bytes, folder: Path, *arguments: str) -> str:
    """Return the message of a file that is refused: one line, and one for the hint."""
    data = content.encode() if isinstance(content, str) else content
    (folder / "saliency.toml").write_bytes(data)
    shown = run("report", "run", *arguments, code=2).stderr
    assert [line.partition(":")[0] for line in shown.splitlines()][-2:] == ["error", "hint"]
    assert shown.count("error: ") == 1
    return shown


def title(folder: Path) -> str:
    page = (folder / "run" / "index.html").read_text(encoding="utf-8")
    return page.partition("<title>")[2].partition("</title>")[0]


def test_options_of_the_file_write_the_bytes_of_typed_ones(folder: Path) -> None:
    run("explain", *EXPLAIN, "--out", "typed", *TYPED, code=1)
    (folder / "saliency.toml").write_text(FILE, encoding="utf-8")
    shown = run("explain", *EXPLAIN, "--out", "found", code=1).stderr
    assert "note: saliency.toml sets --check-suspects, --check-words, --fail-on, " in shown
    for name in ("manifest.json", "index.html", "records/part-00000.jsonl"):
        assert (folder / "typed" / name).read_bytes() == (folder / "found" / name).read_bytes()


def test_command_line_comes_first(folder: Path) -> None:
    (folder / "saliency.toml").write_text(FILE, encoding="utf-8")
    options = ("--limit", "1", "--fail-on", "rows>5", "--check-suspects")
    shown = run("explain", *EXPLAIN, "--out", "out", *options).stderr
    assert "sets --check-words, --html-rows, --method, --slice-column\n" in shown
    replaced = "--fail-on of the command line replaces that of saliency.toml: rows>1, warn:accuracy"
    assert f"note: {replaced}" in shown
    assert len(read_records(folder / "out")) == 1
    manifest = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert [each["gate"] for each in manifest["gates"]] == ["rows>5"]
    assert manifest["options"]["check_suspects"]


def test_file_is_chosen_named_or_left_out(finished: Path) -> None:
    (finished / "saliency.toml").write_text('[report]\ntitle = "found"', encoding="utf-8")
    (finished / "other.toml").write_text('[report]\ntitle = "named"', encoding="utf-8")
    for options, expected in (
        ([], "found"),
        (["--config-file", "other.toml"], "named"),
        (["--no-config-file"], "Predictions of model.pt, explained"),
        (["--title", "typed"], "typed"),
    ):
        run("report", "run", *options)
        assert title(finished) == expected
    assert "--config-file none.toml: there is no such file" in (
        run("report", "run", "--config-file", "none.toml", code=2).stderr
    )
    both = run("report", "run", "--config-file", "other.toml", "--no-config-file", code=2)
    assert "exclude each other" in both.stderr


def test_note_is_left_out_where_nothing_is_set_or_all_is_quiet(finished: Path) -> None:
    file = finished / "saliency.toml"
    file.write_text('[report]\ntitle = "x"\nquiet = true', encoding="utf-8")
    assert run("report", "run").stderr == ""
    file.write_text('[explain]\nlimit = 1\n[report]\ntitle = "x"', encoding="utf-8")
    assert "note:" not in run("report", "run", "--title", "y").stderr
    assert run("report", "run", "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        ("[reprot]", "there is no table called reprot", "did you mean report?"),
        ("[x]", "there is no table called x", "use one of explain, inspect, report"),
        ("report = 1", "report is no table", "write [report]"),
        ("[[report]]", "report is no table", "write [report]"),
        ("[report]\ntitel = 1", "no option of [report] called titel", "did you mean title?"),
        ("[report]\nhtml_rows = 1", "option of [report] called html_rows", "mean html-rows?"),
        ("[report]\nsamples = 4", "no option of [report] called samples", "use one of"),
        ("[explain]\nMODEL = 'x'", "no option of [explain] called MODEL", "use one of"),
        ("[report]\nconfig-file = 'x'", "option of [report] called config-file", "did you mean"),
        ("[report]\nhtml-rows = '1'", "html-rows of [report] is not a whole number", ""),
        ("[report]\nhtml-rows = true", "html-rows of [report] is not a whole number", ""),
        ("[report]\nhtml-rows = 1.0", "html-rows of [report] is not a whole number", ""),
        ("[report]\ntitle = 1", "title of [report] is not a text in quotes", ""),
        ("[report]\nquiet = 1", "quiet of [report] is not true or false", ""),
        ("[report]\nfail-on = 'rows>1'", "fail-on of [report] is not a list of texts", ""),
        ("[report]\nfail-on = [1]", "fail-on of [report] is not a list of texts", ""),
        ("[explain]\nnoise = 1979-05-27", "noise of [explain] is not a whole number or a", ""),
        ("[report", "saliency.toml is not valid TOML: ", ""),
        (b"[report]\ntitle = '\xff'", "saliency.toml is not valid TOML: ", ""),
        ("x = " + "[" * 5000, "saliency.toml is not valid TOML: it is nested too deeply", ""),
        ("x = " + "9" * 5000, "saliency.toml is not valid TOML: ", ""),
        ("#" * (LARGEST_BYTES + 1), "saliency.toml is larger than 1,048,576 bytes", ""),
        ('["\\u001b[31m"]', "there is no table called \\x1b[31m", "use one of"),
    ],
    ids=lambda each: str(each)[:30],
)
def test_wrong_file_is_refused_in_one_line(
    folder: Path, content: str | bytes, message: str, hint: str
) -> None:
    shown = refused(content, folder)
    assert message in shown
    assert hint in shown


def test_every_command_reads_the_file() -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert known.keys() == COMMANDS.keys()
    assert all(isinstance(each, ConfiguredCommand) for each in known.values())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_does_not_need_the_file(folder: Path, name: str) -> None:
    (folder / "saliency.toml").write_text("[", encoding="utf-8")
    assert "--config-file" in run(name, "--help").stdout


def test_values_are_checked_as_typed_ones(finished: Path) -> None:
    assert "--html-rows" in refused("[report]\nhtml-rows = -1", finished)
    assert "acuracy<1" in refused("[report]\nfail-on = ['acuracy<1']", finished)


def trusted_only() -> dict[str, Any]:
    """Return a value for each option, as COMMAND.NAME, that a found file may not set."""
    return {
        f"{command}.{each.flag.removeprefix('--')}": True if each.type is bool else "x"
        for command, function in COMMANDS.items()
        for each in function.settings  # type: ignore[attr-defined]
        if each.option.trusted_only
    }


def test_options_of_a_trusted_file_are_those_that_run_code_connect_or_replace() -> None:
    assert {each.partition(".")[2] for each in trusted_only()} == {
        *("arch", "unsafe-pickle", "template-dir", "address", "overwrite", "output"),
        "attention-page",
    }


@pytest.mark.parametrize("name", sorted(trusted_only()))
def test_found_file_may_not_set_what_is_dangerous(folder: Path, name: str) -> None:
    command, _, option = name.partition(".")
    content = f"[{command}]\n{option} = {json.dumps(trusted_only()[name])}"
    shown = refused(content, folder)
    assert f"{option} of [{command}] is not taken from a file that was found beside" in shown
    assert f"type --{option}, or name the file with --config-file" in shown


def test_named_file_may_set_what_is_dangerous(finished: Path) -> None:
    (finished / "ci.toml").write_text(
        '[export]\nformat = "csv"\noutput = "x.csv"\noverwrite = true', encoding="utf-8"
    )
    for _twice in range(2):
        run("export", "run", "--config-file", "ci.toml")
    assert (finished / "x.csv").exists()


def test_link_device_and_folder_of_the_name_are_no_way_to_hang(finished: Path) -> None:
    file = finished / "saliency.toml"
    os.mkfifo(file)
    assert "saliency.toml: is not a plain file" in run("report", "run", code=2).stderr
    file.unlink()
    file.mkdir()
    assert "saliency.toml: is not a plain file" in run("report", "run", code=2).stderr
    file.rmdir()
    file.symlink_to(finished / "nowhere")
    run("report", "run")
