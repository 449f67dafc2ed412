"""Pages are a pure function of records: golden files, then what every page must hold."""

import base64
import html
import json
import re
import zlib
from itertools import pairwise
from math import floor, log10
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.words import Piece, pieces
from saliency_cli.analysis.words import joined as joined_pieces
from saliency_cli.errors import UsageError
from saliency_cli.records import Record
from saliency_cli.report import check_templates
from saliency_cli.report.number_format import exact, grouped, percent, short
from saliency_cli.report.palette import BOUNDS, heat, legend, shade
from saliency_cli.report.row_selection import select
from saliency_cli.report.row_view import embedded
from saliency_cli.report.search_index import FIELDS, Packer
from saliency_cli.report.templating import environment, templates
from tests.support.paths import GOLDEN
from tests.support.runs import HOSTILE, HOSTILE_LABEL, read_records, record, varied, write_run

NETWORK = re.compile(r"""(?:https?:)?//[\w.]|\bfetch\(|@import|<link(?![^>]*href="data:)""")


@pytest.mark.parametrize("reduction", ["l2", "dot"])
def test_the_page_is_the_golden_one(
    tmp_path: Path, reduction: str, request: pytest.FixtureRequest
) -> None:
    records = varied()
    if reduction == "dot":
        records[0]["scores"] = [-score for score in records[0]["scores"]]
    run = write_run(tmp_path / "run", records, reduction=reduction)
    compare(run / "index.html", GOLDEN / f"index-{reduction}.html", request)


def compare(page: Path, golden: Path, request: pytest.FixtureRequest) -> None:
    """See that a page is the golden one; with --update-golden, make it that."""
    if request.config.getoption("--update-golden"):
        golden.write_bytes(page.read_bytes())
    assert page.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report of two pages: the second holds a row of each kind."""
    filler = [record(ordinal, "one two") for ordinal in range(500)]
    moved = [{**each, "ordinal": 500 + at} for at, each in enumerate(varied())]
    return write_run(tmp_path_factory.mktemp("many"), [*filler, *moved])


@pytest.mark.parametrize("name", ["index", "page-0002"])
def test_the_pages_of_many_rows_are_the_golden_ones(
    many: Path, name: str, request: pytest.FixtureRequest
) -> None:
    page = many / ("index.html" if name == "index" else f"pages/{name}.html")
    compare(page, GOLDEN / f"many-{name}.html", request)


def test_one_file_is_the_page_of_few_rows(tmp_path: Path) -> None:
    few = write_run(tmp_path / "few", varied())
    one = write_run(tmp_path / "one", varied(), single_file=True)
    told = one.joinpath("index.html").read_bytes().replace(b"<dd><bdi>True<", b"<dd><bdi>False<")
    assert told == few.joinpath("index.html").read_bytes()
    filler = [record(ordinal, "one two") for ordinal in range(501)]
    one = write_run(tmp_path / "all", filler, single_file=True)
    assert (one / "index.html").read_text(encoding="utf-8").count('class="row"') == 501
    assert not (one / "pages").exists()


def unpacked(part: Path) -> list[list[object]]:
    """Read a part of the search index as the page's script does."""
    found = re.fullmatch(r'saliencyPart\(\d+, "([\w+/=]+)"\);\n', part.read_text(encoding="ascii"))
    assert found
    return list(json.loads(zlib.decompress(base64.b64decode(found.group(1)))))


def test_the_index_holds_every_row_that_is_shown(many: Path) -> None:
    entries = unpacked(many / "pages" / "index-0001.js")
    assert [entry[0] for entry in entries] == list(range(510))
    named = dict(zip(FIELDS, entries[501], strict=True))
    assert named["text"] == "home is where the heart is"
    assert (named["predicted"], named["gold"], named["right"]) == ("ham", "spam", False)
    assert (named["lead"], named["probability"]) == ("heart", 0.53)
    assert dict(zip(FIELDS, entries[503], strict=True))["flags"] == "quarantined"


def test_parts_of_the_index_are_bounded_and_lose_nothing() -> None:
    texts = [json.dumps("".join(chr(97 + (i * j) % 26) for j in range(9000))) for i in range(900)]
    packer = Packer()
    parts = [*packer.add(texts), *packer.rest()]
    assert len(parts) == 3
    assert all(len(part) < 5e6 for part in parts)
    found = [json.loads(zlib.decompress(base64.b64decode(part))) for part in parts]
    assert [text for part in found for text in part] == [json.loads(text) for text in texts]


@given(st.text())
def test_json_in_a_page_is_data_whatever_it_says(text: str) -> None:
    line = json.dumps({"text": text}, ensure_ascii=False) + "\n"
    found = embedded(line, json.loads(line))
    assert json.loads(found) == {"text": text}
    assert "<" not in found
    assert found.isascii()
    assert found.isprintable()


def test_every_page_holds_its_records(many: Path) -> None:
    text = (many / "pages" / "page-0002.html").read_text(encoding="utf-8")
    held = re.findall(r'<script type="application/json" class="record">(.*)</script>', text)
    assert [json.loads(each) for each in held] == read_records(many)[500:]


# Templates of one's own.


def test_a_template_of_ones_own_replaces_that_of_the_same_name(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    house = (templates() / "html" / "summary.html.j2").read_text(encoding="utf-8")
    changed = house.replace("<section", '<section class="ours"')
    (own / "summary.html.j2").write_text(changed, encoding="utf-8")
    (own / "report.css").write_text("body { color: red; }", encoding="utf-8")
    run = write_run(tmp_path / "run", varied(), template_dir=own, title="A <title>")
    text = (run / "index.html").read_text(encoding="utf-8")
    assert '<section class="ours"' in text
    assert "<style>body { color: red; }</style>" in text
    assert "<title>A &lt;title&gt;</title>" in text


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("index.html.j2", "{% block x %}", "index.html.j2, line 1"),
        ("rows.html.j2", "{{ a b }}", "rows.html.j2, line 1"),
        ("index.html.j2", '{% extends "gone.j2" %}', "there is no template gone.j2"),
        ("index.html.j2", "{{ nothing }}", "'nothing' is undefined"),
        ("index.html.j2", "\udcff", "can't decode byte"),
        ("report.css", "\udcff", "can't decode byte"),
    ],
)
def test_a_template_that_does_not_work_is_named(
    tmp_path: Path, name: str, source: str, message: str
) -> None:
    (tmp_path / name).write_bytes(source.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError) as caught:
        write_run(tmp_path / "run", varied(), template_dir=tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_templates_are_checked_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        check_templates(tmp_path / "gone")
    (tmp_path / "page.html.j2").write_text("{% if %}", encoding="utf-8")
    with pytest.raises(UsageError, match=r"page\.html\.j2, line 1"):
        check_templates(tmp_path)
    check_templates(None)


# Words.


@pytest.mark.parametrize(
    ("text", "ends", "words"),
    [
        ("ringtone now", [4, 8, 12], ["ringtone", " ", "now"]),
        ("free!", [4, 5], ["free", "!"]),
        ("don't", [3, 4, 5], ["don't"]),
        ("日本語", [1, 2, 3], ["日", "本", "語"]),
        ("e\u0301te\u0301", [1, 2, 4, 5], ["e\u0301te\u0301"]),
        ("a1 b", [1, 2, 4], ["a1", " ", "b"]),
    ],
)
def test_tokens_of_one_word_are_joined(text: str, ends: list[int], words: list[str]) -> None:
    starts = [0, *ends[:-1]]
    spans = [[start + (text[start] == " "), end] for start, end in zip(starts, ends, strict=True)]
    made = record(0, " ".join("x" * len(ends))) | {"text": text, "offsets": [[0, 0], *spans]}
    found = joined_pieces(pieces(made))[1:]
    assert ["".join(piece.text for piece in word) for word in found] == words


@given(st.floats(-1, 1), st.floats(1e-9, 1))
def test_a_score_has_two_digits_of_its_error(score: float, error: float) -> None:
    digits = min(max(1 - floor(log10(error)), 4), 7)
    assert exact(score, error).startswith(f"{score:.{digits}f} ± {error:.{digits}f} (")


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
    picked = list(select(range(rows), rows=rows, shown=shown, named=()))
    assert len(picked) == shown
    gaps = {after - before for before, after in pairwise(picked)}
    assert len(gaps) <= 2


@given(st.data(), st.integers(1, 300), st.floats(0, 1))
def test_rows_that_are_named_are_shown_before_all_others(
    data: st.DataObject, rows: int, share: float
) -> None:
    shown = int(rows * share)
    named = data.draw(st.lists(st.integers(0, rows - 1), unique=True))
    picked = list(select(range(rows), rows=rows, shown=shown, named=named))
    assert picked == sorted(set(picked))
    assert len(picked) == shown
    assert set(named[:shown]) <= set(picked)


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


@pytest.mark.parametrize(
    ("number", "text", "brief"),
    [
        (0, "0", "0"),
        (999, "999", "999"),
        (1234, "1,234", "1.2k"),
        (9999, "9,999", "9.9k"),
        (35678, "35,678", "35k"),
        (1250000, "1,250,000", "1.2M"),
    ],
)
def test_counts_are_written_for_reading(number: int, text: str, brief: str) -> None:
    assert grouped(number) == text
    assert short(number) == brief


@given(st.floats(0, 1))
def test_a_step_of_a_table_says_how_large_and_none_is_none(share: float) -> None:
    assert (heat(share) - 1) / 6 < share <= heat(share) / 6 or share == heat(share) == 0


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
