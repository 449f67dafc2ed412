"""README and docs say what the program does: every command runs, every option is there."""

import re
import tomllib
from collections.abc import Iterable
from typing import get_args

import pytest
import typer
from typer.testing import CliRunner

from docs.options import TABLES, options_of
from saliency_cli import settings
from saliency_cli.attribution.baselines import BASELINES
from saliency_cli.attribution.reduction import REDUCTIONS
from saliency_cli.cli.app import app
from saliency_cli.cli.choices import PRESETS
from saliency_cli.model.devices import DTYPES
from saliency_cli.model.objectives import OBJECTIVES
from saliency_cli.workers import EXECUTORS
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND_LINE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
NUMBER = re.compile(r"\d\.\d+")
ALWAYS = {"--help"}
COMMANDS = sorted(
    set(
        re.findall(r"saliency (explain|report|export|inspect|show|evaluate|compare|site)\b", README)
    )
)


def options(command: str) -> set[str]:
    """Return the long options that a command knows."""
    known = typer.main.get_command(app)
    parameters = known.commands[command].params if command else known.params  # type: ignore[attr-defined]
    names = (name for each in parameters for name in (*each.opts, *each.secondary_opts))
    return {name for name in names if name.startswith("--")}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_readme_have_help(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], terminal_width=200)
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


def test_every_option_is_documented_and_every_documented_option_exists() -> None:
    known = options("") | set().union(*(options(command) for command in COMMANDS)) | ALWAYS
    documented = set(OPTION.findall(COMMAND_LINE))
    assert documented == known


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_uses_no_option_that_does_not_exist(command: str) -> None:
    start = f"saliency {command} "
    lines = [line for line in README.splitlines() if start in line]
    assert len(lines) >= (4 if command == "explain" else 1)
    for line in lines:
        used = set(OPTION.findall(line.rpartition(start)[2]))
        assert used <= options(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_every_option(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    for option in options(command):
        assert option in result.output


@pytest.mark.parametrize(
    ("names", "entries"),
    [
        (settings.ReductionName, REDUCTIONS),
        (settings.ObjectiveName, OBJECTIVES),
        (settings.BaselineName, {*BASELINES, "delete"}),
        (settings.DtypeName, {"auto", *DTYPES}),
        (settings.PresetName, PRESETS),
        (settings.EngineName, EXECUTORS),
    ],
)
def test_the_names_on_the_command_line_are_the_entries_of_the_dicts(
    names: object, entries: Iterable[str]
) -> None:
    assert set(get_args(names)) == set(entries)


def test_the_links_of_the_docs_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_tests_that_the_docs_name_are_there() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for page in (ROOT / "docs").glob("*.md"):
        for name in re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8")):
            assert f"def {name}(" in tests, f"{page.name}: {name}"


def test_the_tested_versions_are_pinned() -> None:
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pinned = {name.lower() for name in pinned}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert {re.split(r"[\[<>=]", requirement)[0] for requirement in wanted} <= pinned


def test_unreleased_changes_come_first() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", changelog, re.MULTILINE)[0] == "Unreleased"


def test_the_packages_of_contributing_are_those_there_are() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `(\w+)/?`", page, re.MULTILINE))
    package = ROOT / "saliency_cli"
    entries = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    entries -= {"__init__", "__main__"}
    assert named == entries


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_options_are_those_of_the_declarations(name: str) -> None:
    section = COMMAND_LINE.partition(f"\n## Options of `{name}`\n")[2].partition("\n## ")[0]
    assert options_of(name) in section, "run docs/options.py, which writes the tables"


def test_the_readme_shows_what_show_prints() -> None:
    text = "Free entry: call 0800 now to win a prize!"
    command = f'$ saliency show sample_data/model.pt "{text}"\n'
    result = CliRunner().invoke(app, ["show", str(ROOT / "sample_data" / "model.pt"), text])
    shown = README.partition(command)[2].partition("```")[0]
    assert NUMBER.sub("", shown) == NUMBER.sub("", result.stdout)
