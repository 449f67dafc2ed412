"""Which rows go on which page, and the files that a report is made of."""

import gc
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from jinja2 import Environment

from saliency_cli.analysis.findings import find
from saliency_cli.atomic_files import open_atomic, output_errors
from saliency_cli.report.palette import legend
from saliency_cli.report.row_selection import ranks, select
from saliency_cli.report.row_view import RowView, view
from saliency_cli.report.search_index import Packer, entry
from saliency_cli.report.templating import environment, template_errors
from saliency_cli.runs.run_folder import INDEX, PAGES, RunFolder
from saliency_cli.settings import PageChoice

ROWS_PER_PAGE = 500
SIGNED = {"dot"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows: its number from 1, and the ordinals of its first and last row."""

    number: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """The page's file name."""
        return page_name(self.number)


@dataclass(frozen=True, slots=True)
class Site:
    """Where the pages go, what makes them, and what all of them are told."""

    folder: RunFolder
    env: Environment
    context: Mapping[str, Any]

    def write(self, name: str, template: str, **context: Any) -> None:  # noqa: ANN401
        """Write one file, piece by piece: a page may be longer than memory should hold."""
        chunks = self.env.get_template(template).generate({**self.context, **context})
        with open_atomic(self.folder.path / name) as stream:
            for chunk in chunks:
                with output_errors(self.folder.path / name):
                    stream.write(chunk)


def page_name(number: int) -> str:
    """Return the file name of the page of rows with this number."""
    return f"page-{number:04d}.html"


def part_name(number: int) -> str:
    """Return the file name of the part of the search index with this number."""
    return f"index-{number:04d}.js"


def render(folder: RunFolder, choice: PageChoice) -> None:
    """Write the pages of a run from its manifest and its records, a page at a time.

    With more than 500 rows to show, index.html holds the summary, the search and the way to the
    pages; in a single file it holds them all the same.

    Raises:
        UsageError: a template of the reader's own does not work.
        OutputError: a page cannot be written.
    """
    with template_errors(choice.template_dir), _few_collections():
        site = _site(folder, choice)
        context = site.context
        lines = select(
            folder.records(),
            rows=context["rows_read"],
            shown=context["shown"],
            named=context["findings"].named,
        )
        if context["one_file"]:
            site.write(INDEX, "index.html.j2", rows=map(view, lines), pages=(), parts_of_index=0)
        else:
            _write_pages(site, lines)


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for garbage less often: rows hold many tuples and no cycle (a twentieth of the time)."""
    before = gc.get_threshold()
    gc.set_threshold(100 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _site(folder: RunFolder, choice: PageChoice) -> Site:
    manifest = folder.read_manifest()
    findings = find(folder.records(), labels=tuple(manifest["model"]["labels"]))
    rows = manifest["counts"]["rows"]
    shown = min(rows, choice.html_rows)
    one_file = shown <= ROWS_PER_PAGE or choice.single_file
    rank = ranks(rows=rows, shown=shown, named=findings.named)
    context = {
        "manifest": manifest,
        "title": choice.title,
        "signed": manifest["options"]["reduction"] in SIGNED,
        "legend": legend(signed=manifest["options"]["reduction"] in SIGNED),
        "rows_read": rows,
        "shown": shown,
        "one_file": one_file,
        "findings": findings,
        "where": _links(rank, one_file=one_file),
        "rows_per_page": ROWS_PER_PAGE,
        "entry": entry,
    }
    return Site(folder, environment(choice.template_dir), context)


def _links(rank: Mapping[int, int], *, one_file: bool) -> dict[int, str]:
    """Return the links from the summary to rows of these ranks among those that are shown."""
    if one_file:
        return {row: f"#row-{row}" for row in rank}
    return {
        row: f"{PAGES}/{page_name(place // ROWS_PER_PAGE + 1)}#row-{row}"
        for row, place in rank.items()
    }


def _batches(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for number in count(1):
        batch = list(islice(lines, ROWS_PER_PAGE))
        if not batch:
            return
        yield number, batch


def _write_pages(site: Site, lines: Iterator[str]) -> None:
    """Write pages and search index side by side, from one reading of the records."""
    pages, packer, parts = [], Packer(), 0
    for number, batch in _batches(lines):
        entries: list[str] = []
        pages.append(_write_page(site, number, batch, entries=entries))
        parts = _write_parts(site, packer.add(entries), after=parts)
    parts = _write_parts(site, packer.rest(), after=parts)
    site.write(INDEX, "index.html.j2", rows=(), pages=pages, parts_of_index=parts)


def _write_page(site: Site, number: int, lines: list[str], *, entries: list[str]) -> Page:
    """Write a page of rows, each prepared when its turn comes; add what can be searched of them."""
    first, last = (json.loads(lines[at])["ordinal"] for at in (0, -1))
    page = Page(number, first, last)
    site.write(
        f"{PAGES}/{page.name}",
        "page.html.j2",
        rows=_noted(map(view, lines), entries),
        page=page,
        last=-(-site.context["shown"] // ROWS_PER_PAGE),
    )
    return page


def _noted(rows: Iterable[RowView], entries: list[str]) -> Iterator[RowView]:
    for row in rows:
        entries.append(entry(row).json())
        yield row


def _write_parts(site: Site, parts: Iterator[str], *, after: int) -> int:
    """Write parts of the search index; return the number of the last."""
    number = after
    for number, part in enumerate(parts, start=after + 1):
        site.write(f"{PAGES}/{part_name(number)}", "part.js.j2", number=number, part=part)
    return number
