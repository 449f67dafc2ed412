"""Pages are a pure function of records: golden files, then what every page must hold."""

import html
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.records import Record
from saliency_cli.report.environment import environment
from saliency_cli.report.figures import exact, percent
from saliency_cli.report.pages import even_sample
from saliency_cli.report.palette import BOUNDS, legend, shade
from saliency_cli.words import Piece, pieces

from .runs import HOSTILE, HOSTILE_LABEL, record, varied, write_run

GOLDEN = Path(__file__).parent / "golden"
NETWORK = re.compile(r"""(?:https?:)?//[\w.]|\bfetch\(|@import|<link(?![^>]*href="data:)""")


@pytest.mark.parametrize("reduction", ["l2", "dot"])
def test_the_page_is_the_golden_one(
    tmp_path: Path, reduction: str, request: pytest.FixtureRequest
) -> None:
    records = varied()
    if reduction == "dot":
        records[0]["scores"] = [-score for score in records[0]["scores"]]
    page = write_run(tmp_path / "run", records, reduction=reduction) / "index.html"
    golden = GOLDEN / f"index-{reduction}.html"
    if request.config.getoption("--update-golden"):
        golden.write_bytes(page.read_bytes())
    assert page.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    pages = [write_run(tmp_path / name, varied()) / "index.html" for name in ("one", "two")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_nothing_is_shown_unescaped(tmp_path: Path) -> None:
    text = (write_run(tmp_path / "run", varied()) / "index.html").read_text(encoding="utf-8")
    assert html.escape(HOSTILE, quote=False) in text
    assert html.escape(HOSTILE_LABEL) in text
    for raw in (HOSTILE, HOSTILE_LABEL, "<u>y", "<i>4", "\u202e", "\x07"):
        assert raw not in text


def test_a_page_stands_alone(tmp_path: Path) -> None:
    text = (write_run(tmp_path / "run", varied()) / "index.html").read_text(encoding="utf-8")
    assert not NETWORK.search(text)
    assert " style=" not in text
    assert "Content-Security-Policy" in text
    assert "default-src 'none'" in text
    assert "unsafe" not in text


@pytest.mark.parametrize(
    ("rows", "html_rows", "pages"), [(1, 5000, 0), (500, 5000, 0), (501, 5000, 2), (1200, 1001, 3)]
)
def test_more_than_500_rows_get_pages_of_their_own(
    tmp_path: Path, rows: int, html_rows: int, pages: int
) -> None:
    records = [record(ordinal, "one two") for ordinal in range(rows)]
    run = write_run(tmp_path / "run", records, html_rows=html_rows)
    index = (run / "index.html").read_text(encoding="utf-8")
    names = sorted(path.name for path in (run / "pages").glob("*.html")) if pages else []
    assert names == [f"page-{number:04d}.html" for number in range(1, pages + 1)]
    texts = [index, *((run / "pages" / name).read_text(encoding="utf-8") for name in names)]
    shown = [ids.group(1) for text in texts for ids in re.finditer(r'id="row-(\d+)"', text)]
    assert len(shown) == len(set(shown)) == min(rows, html_rows)
    for name in names:
        assert f'href="pages/{name}"' in index
    assert ("evenly spaced" in index) == (html_rows < rows)


def test_no_rows_on_the_pages_if_none_are_wanted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", varied(), html_rows=0)
    assert 'id="row-' not in (run / "index.html").read_text(encoding="utf-8")


@given(rows=st.integers(1, 300), share=st.floats(0, 1))
def test_the_sample_is_even_and_of_the_size_asked_for(rows: int, share: float) -> None:
    shown = int(rows * share)
    picked = list(even_sample(range(rows), rows=rows, shown=shown))
    assert len(picked) == shown
    gaps = {after - before for before, after in pairwise(picked)}
    assert len(gaps) <= 2


@pytest.mark.parametrize(
    ("score", "error", "text"),
    [
        (0.5, None, "0.5000 (50.0 %)"),
        (0.21342, 0.0041, "0.2134 ± 0.0041 (21.3 %)"),
        (0.01239123, 0.0000321, "0.012391 ± 0.000032 (1.2 %)"),
        (-0.25, 0.3, "-0.2500 ± 0.3000 (-25.0 %)"),
        (0.25, 0.0, "0.2500 (25.0 %)"),
    ],
)
def test_scores_are_written_to_the_digits_of_their_errors(
    score: float, error: float | None, text: str
) -> None:
    assert exact(score, error) == text


def test_a_share_that_is_not_there_is_a_dash() -> None:
    assert percent(None) == "–"


@given(st.floats(-1, 1))
def test_a_shade_says_how_large_and_which_way(score: float) -> None:
    level = int(shade(score)[1])
    assert level == len([bound for bound in BOUNDS if bound <= abs(score)])
    assert (shade(score)[0] == "n") == (score < 0 and level > 0)


def test_every_shade_is_in_the_legend_and_in_the_style_sheet() -> None:
    steps = {step.css for step in legend(signed=True)}
    assert steps == {shade(sign * bound) for bound in (0, *BOUNDS) for sign in (1, -1)}
    style = str(environment().globals["style"])
    assert all(f".{css} {{ background" in style for css in steps - {"s0"})


# Pieces of the text.


def joined(found: list[Piece]) -> str:
    return "".join(piece.text for piece in found if not piece.special)


@st.composite
def tokenized(draw: st.DrawFn) -> Record:
    """Any text, with tokens anywhere in it: apart, side by side, overlapping, empty."""
    text = draw(st.text(min_size=1, max_size=30))
    edges = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(edges, edges).map(sorted), max_size=8))
    spans.sort()
    scores = [1 / (len(spans) + 1)] * (len(spans) + 1)
    return record(0, "x") | {
        "text": text,
        "tokens": ["[CLS]", *(f"t{index}" for index in range(len(spans)))],
        "offsets": [[0, 0], *map(list, spans)],
        "special": [True, *([False] * len(spans))],
        "scores": scores,
        "errors": None,
    }


@given(tokenized())
def test_pieces_join_to_the_untouched_text_and_lose_no_score(made: Record) -> None:
    found = pieces(made)
    assert joined(found) == made["text"]
    assert sum(len(piece.tokens) for piece in found) == len(made["tokens"])
    assert sum(piece.score for piece in found) == pytest.approx(sum(made["scores"]))


def test_bytes_of_one_emoji_are_one_piece() -> None:
    made = record(0, "x") | {
        "text": "a 🙂!",
        "tokens": ["a", "Ġð", "Ł", "Ļ", "!"],
        "offsets": [[0, 1], [2, 3], [2, 3], [2, 3], [3, 4]],
        "special": [False] * 5,
        "scores": [0.1, 0.2, 0.3, 0.3, 0.1],
        "errors": [0.01] * 5,
    }
    assert [(piece.text, len(piece.tokens)) for piece in pieces(made)] == [
        ("a", 1),
        (" ", 0),
        ("🙂", 3),
        ("!", 1),
    ]


def test_what_was_cut_off_is_marked() -> None:
    last = pieces(varied()[4])[-1]
    assert last.cut
    assert last.text == " and then was cut off"
