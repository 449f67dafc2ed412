"""Writes docs/api.md, the page of the Python interface, from the docstrings of its names."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from textwrap import dedent
from typing import Any

import saliency_cli
from saliency_cli.attribution.methods import METHODS

PAGE = Path(__file__).parent / "api.md"
MARK = "<!-- from the docstrings -->\n"
"""What stands above is written by hand."""
FUNCTIONS = ("load", "explain")
CLASSES = (
    "Classifier",
    "Explanation",
    "WordScore",
    "QuarantinedRow",
    "Run",
    "RunFindings",
    "SuspectWords",
)
ERRORS = ("SaliencyError", "UsageError", "CheckpointError")
_SECTION = re.compile(
    r"^(Args|Returns|Raises|Attributes|Example):\n((?:[ ]{4}.*\n?|\n)+)", re.MULTILINE
)
_ENTRY = re.compile(r"^(\w+): ", re.MULTILINE)


def page() -> str:
    """Return the part of the page that is made of docstrings."""
    parts = [
        *(_function(getattr(saliency_cli, name), heading=f"## {name}") for name in FUNCTIONS),
        "## Methods\n\n" + "\n".join(map(_method, METHODS.values())),
        *(_class(getattr(saliency_cli, name)) for name in CLASSES),
        "## Errors\n\n" + "\n".join(_line(getattr(saliency_cli, name)) for name in ERRORS),
    ]
    return "\n\n".join(parts) + "\n"


def _function(function: Any, *, heading: str) -> str:  # noqa: ANN401 - a function or a method
    return f"{heading}\n\n{_signature(function)}\n\n{_text(inspect.getdoc(function) or '')}"


def _signature(function: Any) -> str:  # noqa: ANN401
    """Return a signature as it is written in the source, one argument a line if it is long."""
    (node,) = ast.parse(dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)  # noqa: S101 - only functions come here
    node.decorator_list, node.body = [], [ast.Expr(ast.Constant(...))]
    node.args.args = [each for each in node.args.args if each.arg not in {"self", "cls"}]
    head = ast.unparse(node).partition(":\n")[0].removeprefix("def ")
    if len(head) > 90:
        arguments, _, result = head.partition("(")[2].rpartition(") -> ")
        split = re.sub(r", (?=\w+: |\*)", ",\n    ", arguments)
        head = f"{node.name}(\n    {split},\n) -> {result}"
    return f"```python\n{head}\n```"


def _text(doc: str) -> str:
    """Return a docstring as Markdown: its sections as lists, its example as code."""
    body = _SECTION.sub("", doc + "\n").strip()
    sections = (_section(match[1], dedent(match[2]).strip()) for match in _SECTION.finditer(doc))
    return "\n\n".join([body, *sections])


def _section(name: str, content: str) -> str:
    if name == "Example":
        return f"```pycon\n{content}\n```"
    title = {"Args": "", "Attributes": "", "Raises": "Raises:\n\n"}.get(name, f"{name}: ")
    entries = re.sub(r"\n\s+", " ", content)
    return title + _ENTRY.sub(r"- `\1`: ", entries)


def _method(method: Any) -> str:  # noqa: ANN401 - the class of a method
    """Return a line for a method: its call with the defaults, and its name on the command line."""
    values = ", ".join(f"{each.name}={each.default!r}" for each in fields(method))
    summary = (inspect.getdoc(method) or "").partition("\n\n")[0].replace("\n", " ")
    return f"- `{method.__name__}({values})`: [`{method.name}`](methods.md). {summary}"


def _class(found: Any) -> str:  # noqa: ANN401
    parts = [f"## {found.__name__}", _text(inspect.getdoc(found) or "")]
    properties = [*_properties(found)]
    if properties:
        parts.append("\n".join(properties))
    for name, member in vars(found).items():
        function = member.__func__ if isinstance(member, classmethod) else member
        if not name.startswith("_") and inspect.isfunction(function) and name != "engine":
            parts.append(_function(function, heading=f"### {found.__name__}.{name}"))
    return "\n\n".join(parts)


def _properties(found: Any) -> Iterator[str]:  # noqa: ANN401
    for name, member in vars(found).items():
        if not name.startswith("_") and hasattr(member, "__get__") and not callable(member):
            doc = inspect.getdoc(member) or ""
            if doc and not doc.startswith("Alias for field"):  # the class describes its fields
                yield f"- `{name}`: {' '.join(doc.split())}"


def _line(found: Any) -> str:  # noqa: ANN401
    doc = (inspect.getdoc(found) or "").partition("\n\n")[0]
    return f"- `{found.__name__}`: {' '.join(doc.split())}"


def main() -> None:
    """Replace what stands below the mark of the page."""
    before = PAGE.read_text(encoding="utf-8").partition(MARK)[0]
    PAGE.write_text(f"{before}{MARK}\n{page()}", encoding="utf-8")


if __name__ == "__main__":
    main()
