"""`saliency site`: a folder of runs as a static site."""

from pathlib import Path
from typing import Annotated

from saliency_cli.cli.console import Console
from saliency_cli.cli.options import command
from saliency_cli.plurals import counted
from saliency_cli.safe_text import visible
from saliency_cli.settings import ConsoleChoice, Option
from saliency_cli.site.options import SiteChoice


@command
def site(
    runs: Annotated[
        Path,
        Option(
            "A folder of folders that saliency explain wrote with --out.",
            flag="RUNS",
            argument=True,
        ),
    ],
    choice: SiteChoice,
    console: ConsoleChoice,
) -> None:
    """Write a static site: the runs of RUNS over time, their reports, and what changed."""
    shown = Console(quiet=console.quiet)
    with shown.loading():
        from saliency_cli.site.build import build_site  # noqa: PLC0415 - imports torch
        from saliency_cli.site.folder import SiteFolder  # noqa: PLC0415 - imports Jinja
        from saliency_cli.site.page import write_site_page  # noqa: PLC0415

    folder = SiteFolder(choice.folder)
    folder.check(overwrite=choice.overwrite)
    with shown.waiting("reading the runs"):
        built = build_site(runs, folder)
        write_site_page(folder.page, built)
    for each in built.left_out:
        hint = f"; {each.hint}" if each.hint else ""
        shown.warn(f"left out: {each.reason}{hint}")
    shown.lines([counted(len(built.runs), "run"), f"page: {visible(str(folder.page))}"])
