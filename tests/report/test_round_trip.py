"""A page shows the texts and ids of its records, with only invisible characters escaped."""

from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from saliency_cli.records import SCHEMA, BadRow, Record
from saliency_cli.safe_text import excerpt, visible
from tests.report.test_pages import tokenized
from tests.support.runs import write_run

KEPT = "\n\r\t"
VOID = {"meta", "link", "input", "br", "hr", "img", "meter"}
any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
HOSTILE = (
    "</p></article><script>alert(1)</script>",
    "&lt;b&gt; &amp;amp; &#x1b;",
    "\x1b]0;x\x07 \u202egpj\x00\x9b31m",
    "{{ 7 * 7 }}{% raw %}<!-- a\u2028b",
    "\r\n\t \u200b\u00ad\ufeff",
)


class Page(HTMLParser):
    """Parses a page, and collects the texts and ids of its rows."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.ids: list[str] = []
        self._open: list[set[str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        classes = set((dict(attrs).get("class") or "").split())
        self._open.append(classes)
        if "text" in classes and tag == "p":
            self.texts.append("")
        if "id" in classes and tag == "bdi":
            self.ids.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        around = set().union(*self._open)
        if "text" in around and "special" not in around:
            self.texts[-1] += data
        if "id" in around:
            self.ids[-1] += data


def rendered_page(records: list[Record]) -> Page:
    with TemporaryDirectory() as folder:
        index = write_run(Path(folder) / "run", records) / "index.html"
        return Page(index.read_bytes().decode())


def numbered(records: list[Record], ids: list[str]) -> list[Record]:
    return [
        {**each, "ordinal": ordinal, "id": ids[ordinal % len(ids)]}
        for ordinal, each in enumerate(records)
    ]


def one_token_record(text: str) -> Record:
    """Return the record of a text that is one token."""
    return {
        **BASE,
        "text": text,
        "tokens": ["t"],
        "offsets": [[0, len(text)]],
        "special": [False],
        "scores": [1.0],
        "errors": None,
    }


BASE: Record = {
    "schema": SCHEMA,
    "status": "ok",
    "ordinal": 0,
    "id": None,
    "pair": None,
    "predicted": "spam",
    "probability": 0.875,
    "probabilities": {"ham": 0.125, "spam": 0.875},
    "target": "spam",
    "gold": None,
    "special_share": 0.0,
    "samples": 4,
    "evaluations": 12,
    "flip_rate": 0.0,
    "truncated": False,
    "windows": 1,
}


@settings(max_examples=50)
@given(
    records=st.lists(
        st.one_of(tokenized(), any_text.map(one_token_record)), min_size=1, max_size=5
    ),
    ids=st.lists(any_text, min_size=1, max_size=5),
)
@example(records=[one_token_record(text) for text in HOSTILE], ids=list(HOSTILE))
def test_a_page_shows_the_texts_and_ids_of_its_records(
    records: list[Record], ids: list[str]
) -> None:
    records = numbered(records, ids)
    page = rendered_page(records)
    assert page.texts == [visible(record["text"], keep=KEPT) for record in records]
    assert page.ids == [visible(record["id"], keep=KEPT) for record in records]


@settings(max_examples=50)
@given(st.lists(any_text, min_size=1, max_size=5))
@example(list(HOSTILE))
def test_a_page_shows_the_excerpts_of_quarantined_rows(raw: list[str]) -> None:
    bad = [
        BadRow(ordinal, ordinal + 1, text, "why", excerpt(text)) for ordinal, text in enumerate(raw)
    ]
    page = rendered_page([each.record() for each in bad])
    assert page.texts == [visible(text) for text in raw]
    assert page.ids == [visible(text, keep=KEPT) for text in raw]
