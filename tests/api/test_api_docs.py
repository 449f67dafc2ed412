"""docs/api.md, the notebook and the names of `saliency_cli`: up to date, and executed."""

import ast
import doctest
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import saliency_cli
from docs import api
from saliency_cli.attribution.methods import METHODS
from tests.support.paths import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
SKIPPED = "torch,transformers,tokenizers,safetensors,peft,numpy,jinja2,markupsafe,pandas,rich,typer"
SETTINGS = f"""[mypy]
strict = true
[mypy-saliency_cli.*]
follow_imports = silent
[mypy-{",".join(f"{name}.*" for name in SKIPPED.split(","))}]
follow_imports = skip
ignore_missing_imports = true
"""
"""What a user's project may have; what is left out here, CI's mypy checks over the same script."""
LIGHT = """
import sys
import saliency_cli
assert {*saliency_cli.__all__} <= {*dir(saliency_cli)}
import saliency_cli.cli.app
slow = {"torch", "transformers", "numpy", "jinja2", "pandas"} & {*sys.modules}
api = [name for name in sys.modules if name.startswith("saliency_cli.api")]
assert not slow and not api, (slow, api)
from saliency_cli import Run, SmoothGrad, UsageError
assert "torch" not in sys.modules
"""


def test_the_page_is_that_of_the_docstrings() -> None:
    text = api.PAGE.read_text(encoding="utf-8").partition(api.MARK)[2]
    assert text == f"\n{api.page()}", "run python -m docs.api, which writes the page"


def test_the_page_has_every_public_name() -> None:
    text = api.PAGE.read_text(encoding="utf-8")
    methods = {method.__name__ for method in METHODS.values()}
    names = {*api.FUNCTIONS, *api.CLASSES, *api.ERRORS, *methods, "Method"}
    assert names == {*saliency_cli.__all__}
    assert all(name in text for name in names)
    for name in saliency_cli.__all__:
        assert getattr(saliency_cli, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = saliency_cli.nothing  # type: ignore[attr-defined]


def test_the_examples_of_the_page_are_true(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    text = api.PAGE.read_text(encoding="utf-8").replace("```", "")
    examples = doctest.DocTestParser().get_doctest(text, {}, "api.md", str(api.PAGE), 0)
    failed, tried = doctest.DocTestRunner().run(examples)
    assert failed == 0
    assert tried >= 12


def run_cell(source: str, scope: dict[str, Any]) -> object:
    """Run a cell, and return the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), scope)  # noqa: S102 - the cells of our own notebook
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), "cell", "eval"), scope)  # noqa: S307


def test_the_cells_of_the_notebook_run_in_their_order(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "cells").mkdir(exist_ok=True)
    monkeypatch.chdir(checkout / "cells")  # beside sample_data and report, as docs is
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    scope: dict[str, Any] = {}
    shown = [run_cell("".join(cell["source"]), scope) for cell in cells]
    shaded = [value for value in shown if isinstance(value, saliency_cli.Explanation)]
    assert [value.label for value in shaded] == ["spam", "ham", "ham"]
    printed = capsys.readouterr().out
    assert "integrated gradients [<Explanation 0: spam" in printed
    assert "10 of 240 predictions are wrong" in printed
    table: Any = shown[-1]
    assert table["ham"] == pytest.approx(179 / 188)


def test_the_names_are_typed_for_a_users_script(tmp_path: Path) -> None:
    settings = tmp_path / "mypy.ini"
    settings.write_text(SETTINGS, encoding="utf-8")
    cache = ROOT / ".mypy_cache" / "user"
    script = ROOT / "tests" / "support" / "api_user.py"
    command = ["mypy", "--config-file", str(settings), "--cache-dir", str(cache), str(script)]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout == "Success: no issues found in 1 source file\n", done.stdout + done.stderr


def test_the_import_is_light_and_adds_nothing_to_the_command_line() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True, cwd=ROOT)
