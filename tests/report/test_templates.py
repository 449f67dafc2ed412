"""The user's templates: which errors are found before a run, and what the sandbox refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from saliency_cli.analysis.notable_rows import LIMITS
from saliency_cli.cli.app import app
from saliency_cli.errors import UsageError
from saliency_cli.report import check_templates
from saliency_cli.report.example_run import example_lines, example_manifest
from saliency_cli.report.templating import templates
from saliency_cli.runs.schema import MANIFEST_SHAPE, record_problem
from tests.support.faults import read_files
from tests.support.runs import varied, write_run
from tests.support.shell import DONE, USAGE, Shell


def test_a_users_template_replaces_the_one_of_the_same_name(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    built_in = (templates() / "html" / "summary.html.j2").read_text(encoding="utf-8")
    changed = built_in.replace("<section", '<section class="user"')
    (folder / "summary.html.j2").write_text(changed, encoding="utf-8")
    (folder / "report.css").write_text("body { color: red; }", encoding="utf-8")
    run = write_run(tmp_path / "run", varied(), template_dir=folder, title="A <title>")
    text = (run / "index.html").read_text(encoding="utf-8")
    assert '<section class="user"' in text
    assert "<style>body { color: red; }</style>" in text
    assert "<title>A &lt;title&gt;</title>" in text


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("index.html.j2", "{% block x %}", "index.html.j2, line 1"),
        ("rows.html.j2", "{{ a b }}", "rows.html.j2, line 1"),
        ("index.html.j2", '{% extends "gone.j2" %}', "there is no template gone.j2"),
        ("index.html.j2", "{{ nothing }}", "'nothing' is undefined"),
        ("index.html.j2", "\udcff", "can't decode byte"),
        ("report.css", "\udcff", "can't decode byte"),
    ],
)
def test_the_message_names_the_template_with_an_error(
    tmp_path: Path, name: str, source: str, message: str
) -> None:
    (tmp_path / name).write_bytes(source.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        write_run(tmp_path / "run", varied(), template_dir=tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_check_templates_raises_without_rendering(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        check_templates(tmp_path / "gone")
    (tmp_path / "page.html.j2").write_text("{% if %}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"page\.html\.j2, line 1"):
        check_templates(tmp_path)
    check_templates(None)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("summary.html.j2", "\n{{ nothing }}", "summary.html.j2, line 2: 'nothing' is undefined"),
        (
            "page.html.j2",
            "{{ manifest.gone }}",
            "line 1: 'dict object' has no attribute",
        ),
        ("part.js.j2", "\n{{ 1 / 0 }}", "part.js.j2, line 2: division by zero"),
        ("rows.html.j2", "{{ ''.__class__.__mro__ }}", "rows.html.j2, line 1: access to attribute"),
        ("page.html.j2", "{{ search.__globals__ }}", "page.html.j2, line 1: access to attribute"),
        ("page.html.j2", "{{ '{0.__class__}'.format(1) }}", "line 1: access to attribute"),
        ("page.html.j2", "{{ manifest.update(a=1) }}", "access to attribute 'update' of 'dict'"),
        ("page.html.j2", "{{ rows.clear() }}", "access to attribute 'clear' of 'list'"),
        ("page.html.j2", '{% include "../secret" %}', "page.html.j2, line 1: there is no template"),
        ("page.html.j2", '{% include "page.html.j2" %}', "page.html.j2, line 1: maximum recursion"),
    ],
)
def test_a_template_that_cannot_be_rendered_is_found_before_the_run(
    tmp_path: Path, name: str, source: str, message: str
) -> None:
    (tmp_path / "secret").write_text("outside", encoding="utf-8")
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / name).write_text(source, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        check_templates(folder)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_built_in_templates_pass_the_check(tmp_path: Path) -> None:
    check_templates(tmp_path)


def test_the_example_has_every_finding_and_the_keys_of_a_run(
    tmp_path: Path, bert_folder: Path
) -> None:
    lines = example_lines()
    assert [record_problem(json.loads(line)) for line in lines] == [None] * len(lines)
    run = write_run(tmp_path / "run", [json.loads(line) for line in lines])
    page = (run / "index.html").read_text(encoding="utf-8")
    for finding in ("outcomes", "suspects", "words", "first", "unknown-gold", "quarantined"):
        assert f'id="{finding}"' in page
    for kind in LIMITS:
        assert f'id="first-{kind}"' in page
    (tmp_path / "home").mkdir()
    shell = Shell.beside(bert_folder, tmp_path / "home")
    assert shell.explain().exit_code == DONE
    real = json.loads((shell.out / "manifest.json").read_text(encoding="utf-8"))
    example = example_manifest(lines, signed=False)
    assert example.keys() == real.keys()
    for name in (*MANIFEST_SHAPE, "counts", "shards", "instruction_set"):
        if name != "hashes":
            assert example[name].keys() == real[name].keys(), name


def test_a_broken_template_is_refused_before_an_unfinished_run_is_finished(shell: Shell) -> None:
    assert shell.explain("--shard", "1/1", "--samples", "2").exit_code == DONE
    broken = shell.home / "templates"
    broken.mkdir()
    (broken / "index.html.j2").write_text("{{ nothing }}", encoding="utf-8")
    before = read_files(shell.out)
    command = ["report", str(shell.out), "--template-dir", str(broken)]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, "'nothing' is undefined" in result.stderr) == (USAGE, True)
    assert read_files(shell.out) == before
