"""Writes the page of a site."""

from pathlib import Path
from typing import Any

from saliency_cli import __version__
from saliency_cli.report.page_files import write_sealed
from saliency_cli.report.templating import environment, inline_sources
from saliency_cli.site.charts import AREA, HEIGHT, WIDTH, charts
from saliency_cli.site.entries import Site
from saliency_cli.site.folder import MARK

STYLES = ("report.css", "site.css")


def write_site_page(path: Path, site: Site, *, version: str = __version__) -> None:
    """Write the page of a site.

    Args:
        path: The file; an earlier page is replaced.
        site: What it shows.
        version: The version of this package that the page names.

    Raises:
        OutputError: The file cannot be written.
    """
    env = environment()
    context: dict[str, Any] = {
        **inline_sources(env, styles=STYLES, scripts=()),
        "manifest": {"versions": {"saliency": version}},
        "mark": MARK,
        "runs": site.runs,
        "left_out": site.left_out,
        "charts": charts(site.runs),
        "area": AREA,
        "chart_size": (WIDTH, HEIGHT),
    }
    write_sealed(path, env.get_template("site.html.j2").generate(context))
