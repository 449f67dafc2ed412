"""The files of a report: which rows go on which page, and what the templates are given."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

from jinja2 import Environment

from saliency_cli.analysis.findings import (
    Findings,
    collect_findings,
    linked_rows,
    with_checks,
)
from saliency_cli.analysis.word_statistics import WordFindings
from saliency_cli.gates import in_order, stored_results
from saliency_cli.report.page_files import write_sealed
from saliency_cli.report.palette import legend
from saliency_cli.report.row_selection import page_positions, select_rows
from saliency_cli.report.row_view import RowView, row_view
from saliency_cli.report.search_index import ENTRY_FIELDS, IndexPacker, search_entry
from saliency_cli.report.templating import environment, template_errors
from saliency_cli.report.trust import doubts
from saliency_cli.runs.ownership import INDEX, PAGES
from saliency_cli.runs.run_folder import RunFolder
from saliency_cli.runs.suspects_file import read_suspects
from saliency_cli.settings import PageChoice

ROWS_PER_PAGE = 500


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
    """What is the same for all files of a report.

    Attributes:
        folder: the run's folder, which the pages are written to.
        env: the environment of the templates.
        context: variables that every template gets.
    """

    folder: RunFolder
    env: Environment
    context: Mapping[str, Any]

    def write(self, name: str, template: str, **context: Any) -> None:  # noqa: ANN401
        """Render a template to a file, in pieces: a page may be larger than memory should hold.

        Args:
            name: the file's path in the run's folder.
            template: the template's name.
            **context: variables for this template only.

        Raises:
            OutputError: the file cannot be written.
        """
        chunks = self.env.get_template(template).generate({**self.context, **context})
        write_sealed(self.folder.path / name, chunks)


def page_name(number: int) -> str:
    """Return the file name of a page of rows."""
    return f"page-{number:04d}.html"


def part_name(number: int) -> str:
    """Return the file name of a part of the search index."""
    return f"index-{number:04d}.js"


def render(folder: RunFolder, choice: PageChoice, *, words: WordFindings | None = None) -> Findings:
    """Write the pages of a finished run from its manifest and its records; return its findings.

    Up to 500 rows are on index.html itself, and with `--single-file` all are. Otherwise index.html
    has the summary, the search, and links to the pages of rows.

    Args:
        folder: the run's folder.
        choice: title, number of rows, and folder of the user's templates.
        words: those of the records, where they are known.

    Raises:
        UsageError: one of the user's templates has an error.
        OutputError: a page cannot be written.
    """
    with template_errors(choice.template_dir):
        site = _site(folder, choice, words)
        lines = select_rows(
            folder.records(),
            total=site.context["rows_read"],
            limit=site.context["rows_shown"],
            linked=linked_rows(site.context["findings"]),
        )
        if site.context["one_file"]:
            site.write(INDEX, "index.html.j2", rows=map(row_view, lines), pages=(), index_parts=0)
        else:
            _write_pages(site, lines)
    shown: Findings = site.context["findings"]
    return shown


def run_findings(
    folder: RunFolder, manifest: Mapping[str, Any], words: WordFindings | None = None
) -> Findings:
    """Return all findings of a finished run.

    Args:
        folder: the run's folder.
        manifest: its manifest.
        words: those of the records, where they are known.
    """
    findings = collect_findings(
        folder.records(),
        labels=tuple(manifest["model"]["labels"]),
        counts=manifest["counts"],
        words=words,
    )
    return with_checks(findings, read_suspects(folder) or ())


def finding_sentences(
    manifest: Mapping[str, Any], findings: Findings, choice: PageChoice
) -> tuple[str, ...]:
    """Return the sentences of the report's first screen as plain text.

    Args:
        manifest: the run's manifest.
        findings: what `run_findings` returned.
        choice: how the pages are rendered.
    """
    template = environment().get_template("first_look.txt.j2")
    return tuple(template.render(site_context(manifest, findings, choice)).splitlines())


def _site(folder: RunFolder, choice: PageChoice, words: WordFindings | None) -> Site:
    manifest = folder.read_manifest()
    findings = run_findings(folder, manifest, words)
    context = site_context(manifest, findings, choice)
    return Site(folder, environment(choice.template_dir), context)


def site_context(
    manifest: Mapping[str, Any], findings: Findings, choice: PageChoice
) -> dict[str, Any]:
    """Return the variables that every template of a report gets.

    Args:
        manifest: the run's manifest.
        findings: what the summary shows.
        choice: title and number of rows.
    """
    total = manifest["counts"]["rows"]
    limit = min(total, choice.html_rows)
    one_file = limit <= ROWS_PER_PAGE or choice.single_file
    positions = page_positions(total=total, limit=limit, linked=linked_rows(findings))
    signed = manifest["method"]["is_signed"]
    return {
        "manifest": manifest,
        "title": choice.title,
        "signed": signed,
        "legend": legend(signed=signed),
        "rows_read": total,
        "rows_shown": limit,
        "one_file": one_file,
        "findings": findings,
        "doubts": doubts(manifest, findings),
        "gates": in_order(stored_results(manifest)),
        "row_hrefs": _row_hrefs(positions, one_file=one_file),
        "rows_per_page": ROWS_PER_PAGE,
        "search_entry": search_entry,
        "entry_fields": ENTRY_FIELDS,
    }


def _row_hrefs(positions: Mapping[int, int], *, one_file: bool) -> dict[int, str]:
    """Return row -> the link to it from index.html, given its position among the rows shown."""
    if one_file:
        return {row: f"#row-{row}" for row in positions}
    return {
        row: f"{PAGES}/{page_name(position // ROWS_PER_PAGE + 1)}#row-{row}"
        for row, position in positions.items()
    }


def _page_batches(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (page number, lines of its rows)."""
    for number in count(1):
        batch = list(islice(lines, ROWS_PER_PAGE))
        if not batch:
            return
        yield number, batch


def _write_pages(site: Site, lines: Iterator[str]) -> None:
    """Write the pages and the search index together, so that the records are read once."""
    pages, packer, parts = [], IndexPacker(), 0
    for number, batch in _page_batches(lines):
        entries: list[str] = []
        pages.append(_write_page(site, number, batch, entries=entries))
        parts = _write_index_parts(site, packer.add(entries), after=parts)
    parts = _write_index_parts(site, packer.flush(), after=parts)
    site.write(INDEX, "index.html.j2", rows=(), pages=pages, index_parts=parts)


def _write_page(site: Site, number: int, lines: list[str], *, entries: list[str]) -> Page:
    """Write a page of rows, and append the rows' search entries, in JSON, to `entries`."""
    first, last = (json.loads(lines[index])["ordinal"] for index in (0, -1))
    page = Page(number, first, last)
    site.write(
        f"{PAGES}/{page.name}",
        "page.html.j2",
        rows=_with_entries(map(row_view, lines), entries),
        page=page,
        last=-(-site.context["rows_shown"] // ROWS_PER_PAGE),
    )
    return page


def _with_entries(rows: Iterable[RowView], entries: list[str]) -> Iterator[RowView]:
    """Yield the rows unchanged, and append the search entry of each to `entries`."""
    for row in rows:
        entries.append(search_entry(row, shaded=True).json())
        yield row


def _write_index_parts(site: Site, parts: Iterator[str], *, after: int) -> int:
    """Write parts of the search index, numbered from `after` + 1; return the last number."""
    number = after
    for number, part in enumerate(parts, start=after + 1):
        site.write(f"{PAGES}/{part_name(number)}", "part.js.j2", number=number, part=part)
    return number
