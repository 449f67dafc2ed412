"""Which rows go on which page, and what a template is told of each."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from saliency_cli.records import Record
from saliency_cli.report.environment import environment
from saliency_cli.report.findings import find
from saliency_cli.report.palette import legend
from saliency_cli.report.seen import judged
from saliency_cli.report.selection import ranks, select
from saliency_cli.store import INDEX, PAGES, RunFolder, committed, writing
from saliency_cli.summary import FLIPS_WARNED
from saliency_cli.words import Piece, pieces

ROWS_PER_PAGE = 500
SIGNED = {"dot"}


@dataclass(frozen=True, slots=True)
class Shading:
    """A row's text, and its pair, shaded by what they do to one target."""

    target: str
    text: list[Piece]
    pair: list[Piece] | None
    fragile: bool
    flip_rate: float


@dataclass(frozen=True, slots=True)
class RowView:
    """One row as the page shows it."""

    record: Record
    shadings: list[Shading] = field(default_factory=list)
    right: bool | None = None


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


def page_name(number: int) -> str:
    """Return the file name of the page of rows with this number."""
    return f"page-{number:04d}.html"


def render(folder: RunFolder, *, html_rows: int | None = None) -> None:
    """Write the pages of a run from its manifest and its records, a page at a time.

    With more than 500 rows to show, index.html holds the summary and the way to the pages. They
    show `html_rows`, if not as many as the run was asked for.
    """
    manifest = folder.read_manifest()
    findings = find(folder.records(), labels=tuple(manifest["model"]["labels"]))
    rows, named = manifest["counts"]["rows"], findings.named
    wanted = manifest["options"]["html_rows"] if html_rows is None else html_rows
    shown = min(rows, wanted)
    context = {
        "manifest": manifest,
        "findings": findings,
        "legend": legend(signed=manifest["options"]["reduction"] in SIGNED),
        "shown": shown,
        "where": _links(rows=rows, shown=shown, named=named),
    }
    lines = select(folder.records(), rows=rows, shown=shown, named=named)
    views = (_view(json.loads(line)) for line in lines)
    if shown <= ROWS_PER_PAGE:
        _write(folder, INDEX, {**context, "rows": list(views), "pages": []})
        return
    pages = [_write_page(folder, context, batch) for batch in _batches(views)]
    _write(folder, INDEX, {**context, "rows": [], "pages": pages})


def _links(*, rows: int, shown: int, named: Collection[int]) -> dict[int, str]:
    """Return the links from the summary to the rows that it names, where a page shows them."""
    found = ranks(rows=rows, shown=shown, named=named)
    if shown <= ROWS_PER_PAGE:
        return {row: f"#row-{row}" for row in found}
    return {
        row: f"{PAGES}/{page_name(rank // ROWS_PER_PAGE + 1)}#row-{row}"
        for row, rank in found.items()
    }


def _batches(views: Iterator[RowView]) -> Iterator[tuple[int, list[RowView]]]:
    for number in count(1):
        batch = list(islice(views, ROWS_PER_PAGE))
        if not batch:
            return
        yield number, batch


def _view(record: Record) -> RowView:
    if record["status"] != "ok":
        return RowView(record)
    targets = [record, *({**record, **other} for other in record.get("others", ()))]
    return RowView(
        record,
        shadings=[_shading(target) for target in targets],
        right=judged(record),
    )


def _shading(record: Record) -> Shading:
    return Shading(
        record["target"],
        pieces(record),
        None if record["pair"] is None else pieces(record, segment=1),
        fragile=record["flip_rate"] > FLIPS_WARNED,
        flip_rate=record["flip_rate"],
    )


def _write_page(
    folder: RunFolder, context: dict[str, Any], batch: tuple[int, list[RowView]]
) -> Page:
    number, rows = batch
    page = Page(number, rows[0].record["ordinal"], rows[-1].record["ordinal"])
    last = -(-context["shown"] // ROWS_PER_PAGE)
    _write(folder, f"{PAGES}/{page.name}", {**context, "rows": rows, "page": page, "last": last})
    return page


def _write(folder: RunFolder, name: str, context: dict[str, Any]) -> None:
    template = "page.html.j2" if "page" in context else "index.html.j2"
    text = environment().get_template(template).render(context)
    with committed(folder.path / name) as stream, writing(folder.path / name):
        stream.write(text)
