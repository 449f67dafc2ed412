"""Writes the tables of options into docs/command-line.md, from the declarations of the options."""

from pathlib import Path

from saliency_cli.cli import app, commands, comparison, site
from saliency_cli.cli.options import option_table

PAGE = Path(__file__).parent / "command-line.md"
TABLES = {
    "explain": app.explain,
    "report": commands.report,
    "export": commands.export,
    "show": commands.show,
    "inspect": commands.inspect_model,
    "evaluate": commands.evaluate,
    "compare": comparison.compare,
    "site": site.site,
}


def options_of(name: str) -> str:
    """Return the table of a command; options that `explain` has too are only named."""
    return option_table(TABLES[name], beside=None if name == "explain" else app.explain)


def main() -> None:
    """Replace what stands between the marks of each table."""
    text = PAGE.read_text(encoding="utf-8")
    for name in TABLES:
        before, mark, rest = text.partition(f"<!-- options of {name} -->\n")
        _old, end, after = rest.partition("<!-- end -->")
        text = f"{before}{mark}{options_of(name)}\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
