"""The packages: one direction of import, one name a module, files that fit on a few screens."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "saliency_cli"
LAYERS = (
    (
        "errors",
        "records",
        "explanations",
        "settings",
        "progress",
        "percentages",
        "plurals",
        "safe_text",
        "word_boundaries",
        "atomic_files",
        "signals",
        "stdout",
        "standard_streams",
    ),
    ("inputs", "figures"),
    ("model",),
    ("attribution",),
    ("checkpoints",),
    ("runs",),
    ("analysis",),
    ("gates",),
    ("comparison",),
    ("workers",),
    ("report", "exports"),
    ("evaluation", "site"),
    ("api",),
    ("cli",),
)
"""From the bottom: a package imports from those below it only, and never from one beside it."""
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
MOST_LINES = 300
TRANSFORMERS = re.compile(r"^\s*(import|from) transformers\b", re.MULTILINE)
MODULES = sorted(PACKAGE.glob("**/*.py"))


def package_of(module: Path) -> str:
    """Return the package, or the module at top level, that a file belongs to."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[tuple[str, str | None]]:
    """Yield each import of our own modules, wherever it stands, with the name it is given."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "saliency_cli":
            yield from ((f"saliency_cli.{each.name}", each.asname) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("saliency_cli."):
            yield from ((f"{node.module}.{each.name}", each.asname) for each in node.names)
        elif isinstance(node, ast.Import):
            ours = (each for each in node.names if each.name.startswith("saliency_cli"))
            yield from ((each.name, each.asname) for each in ours)


def test_every_package_has_a_layer() -> None:
    entries = {package_of(module) for module in MODULES if not module.stem.startswith("__main")}
    assert entries - {"__init__"} == set(LEVELS)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(module: Path) -> None:
    own = package_of(module)
    if own.startswith("__"):  # the entry point and the version
        return
    for name, _alias in imports(module):
        other = name.split(".")[1]
        if other in {own, "__version__"}:
            continue
        both_shared = LEVELS[own] == LEVELS[other] == 0
        assert LEVELS[other] < LEVELS[own] or both_shared, f"{own} imports {name}"


def test_no_module_is_imported_under_another_name() -> None:
    files = [*MODULES, *(ROOT / "tests").glob("**/*.py"), *(ROOT / "benchmarks").glob("*.py")]
    renamed = [(path.name, name) for path in files for name, alias in imports(path) if alias]
    assert renamed == []


def test_settings_are_imported_from_the_package_alone() -> None:
    for module in MODULES:
        if package_of(module) != "settings":
            names = [
                name for name, _ in imports(module) if name.startswith("saliency_cli.settings.")
            ]
            assert all(name.count(".") == 2 for name in names), f"{module}: {names}"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_longer_than_a_few_screens(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_methods_are_read_without_torch() -> None:
    """The command line reads the options of all methods, and `--help` must not wait for torch."""
    for module in (PACKAGE / "attribution" / "methods").glob("*.py"):
        top = ast.parse(module.read_text(encoding="utf-8")).body
        names = [
            name
            for node in top
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else [])
        ]
        assert not [name for name in names if (name or "").startswith(("torch", "numpy"))], module


def test_one_module_imports_transformers() -> None:
    importing = [module for module in MODULES if TRANSFORMERS.search(module.read_text("utf-8"))]
    assert [module.name for module in importing] == ["transformers_import.py"]
