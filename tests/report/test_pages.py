"""The pages: golden files, page layout, search index, numbers, shades and pieces."""

import base64
import html
import json
import re
import zlib
from collections.abc import Callable
from itertools import pairwise
from math import floor, log10
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.analysis.words import Piece, group_by_word, pieces
from saliency_cli.attribution.methods.attention import Attention
from saliency_cli.attribution.methods.base import Method
from saliency_cli.attribution.methods.integrated_gradients import IntegratedGradients
from saliency_cli.attribution.methods.occlusion import Occlusion
from saliency_cli.attribution.methods.random_scores import RandomScores
from saliency_cli.attribution.methods.shapley import Shapley
from saliency_cli.attribution.methods.vargrad import VarGrad
from saliency_cli.records import Record
from saliency_cli.report.number_format import grouped, percent, score_text, short
from saliency_cli.report.palette import BOUNDS, heat, legend, shade
from saliency_cli.report.row_selection import select_rows
from saliency_cli.report.row_view import RowView, Shading, Span, script_safe_json
from saliency_cli.report.search_index import (
    ENTRY_FIELDS,
    IndexPacker,
    shade_runs,
    shaded_chunks,
)
from saliency_cli.report.templating import environment
from tests.support.gates import every_outcome
from tests.support.paths import GOLDEN
from tests.support.runs import HOSTILE, HOSTILE_LABEL, read_records, record, varied, write_run

NETWORK = re.compile(r"""(?:https?:)?//[\w.]|\bfetch\(|@import|<link(?![^>]*href="data:)""")


@pytest.mark.parametrize("reduction", ["l2", "dot"])
def test_the_page_equals_the_golden_file(
    tmp_path: Path, reduction: str, request: pytest.FixtureRequest
) -> None:
    records = varied()
    if reduction == "dot":
        records[0]["scores"] = [-score for score in records[0]["scores"]]
    run = write_run(tmp_path / "run", records, reduction=reduction)
    compare(run / "index.html", GOLDEN / f"index-{reduction}.html", request)


def test_the_page_of_a_run_with_gates_equals_the_golden_file(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run = write_run(tmp_path / "run", varied()[:4], gates=every_outcome())
    compare(run / "index.html", GOLDEN / "index-gates.html", request)


def without_noise(each: Record) -> Record:
    """Return a record as a deterministic method that promises completeness gives it."""
    if each["status"] != "ok":
        return each
    complete = {"sum": -1.25, "difference": 2.125, "gap": -3.375}
    return {**each, "errors": None, "samples": None, "flip_rate": None, "completeness": complete}


METHODS = [
    (IntegratedGradients(), without_noise),
    (Occlusion(baseline="delete"), without_noise),
    (Shapley(), lambda each: {**each, "flip_rate": None} if each["status"] == "ok" else each),
    (VarGrad(), lambda each: each),
    (RandomScores(), without_noise),
    (Attention(), without_noise),
]


@pytest.mark.parametrize(("method", "change"), METHODS, ids=lambda each: getattr(each, "name", ""))
def test_the_page_of_each_kind_of_method_equals_the_golden_file(
    tmp_path: Path,
    method: Method,
    change: Callable[[Record], Record],
    request: pytest.FixtureRequest,
) -> None:
    run = write_run(tmp_path / "run", [*map(change, varied()[:4])], method=method)
    page = (run / "index.html").read_text(encoding="utf-8")
    assert ("±" in page.partition("<article")[0]) == method.is_random
    assert ("tiny changes overturn" in page) == method.has_flip_rate
    compare(run / "index.html", GOLDEN / f"index-{method.name}.html", request)


def compare(page: Path, golden: Path, request: pytest.FixtureRequest) -> None:
    """Assert that a page equals a golden file; with --update-golden, overwrite the file first."""
    if request.config.getoption("--update-golden"):
        golden.write_bytes(page.read_bytes())
    assert page.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report of two pages; the second has one row of each kind."""
    filler = [record(ordinal, "one two") for ordinal in range(500)]
    moved = [{**each, "ordinal": 500 + at} for at, each in enumerate(varied())]
    return write_run(tmp_path_factory.mktemp("many"), [*filler, *moved])


@pytest.mark.parametrize("name", ["index", "page-0002"])
def test_the_pages_of_many_rows_equal_the_golden_files(
    many: Path, name: str, request: pytest.FixtureRequest
) -> None:
    page = many / ("index.html" if name == "index" else f"pages/{name}.html")
    compare(page, GOLDEN / f"many-{name}.html", request)


def test_a_single_file_equals_the_page_of_few_rows(tmp_path: Path) -> None:
    few = write_run(tmp_path / "few", varied())
    one = write_run(tmp_path / "one", varied(), single_file=True)
    page = one.joinpath("index.html").read_bytes().replace(b"<dd><bdi>True<", b"<dd><bdi>False<")
    expected = few.joinpath("index.html").read_bytes()
    assert (
        page.rpartition(b"\n<!-- written by ")[0] == expected.rpartition(b"\n<!-- written by ")[0]
    )
    filler = [record(ordinal, "one two") for ordinal in range(501)]
    one = write_run(tmp_path / "all", filler, single_file=True)
    assert (one / "index.html").read_text(encoding="utf-8").count('class="row"') == 501
    assert not (one / "pages").exists()


def decompressed(part: Path) -> list[list[object]]:
    """Return the entries of a part of the search index, read as the page's script does."""
    call, _, _ = part.read_text(encoding="ascii").rpartition("\n/* written by ")
    match = re.fullmatch(r'saliencyPart\(\d+, "([\w+/=]+)"\);\n', call)
    assert match
    return list(json.loads(zlib.decompress(base64.b64decode(match.group(1)))))


def test_the_search_index_has_every_row_that_is_shown(many: Path) -> None:
    entries = decompressed(many / "pages" / "index-0001.js")
    assert [entry[0] for entry in entries] == list(range(510))
    entry = dict(zip(ENTRY_FIELDS, entries[501], strict=True))
    assert entry["text"] == "home is where the heart is"
    assert (entry["predicted"], entry["gold"], entry["correct"]) == ("ham", "spam", False)
    assert (entry["lead"], entry["probability"]) == ("heart", 0.53)
    assert dict(zip(ENTRY_FIELDS, entries[503], strict=True))["flags"] == "quarantined"


def runs_of(shades: str) -> list[tuple[str, int]]:
    """Return (shade, number of UTF-16 units) of each run, as the page's script reads them."""
    names = {"_": "", **{c: f"s{n}" for n, c in enumerate("ABCDEF", start=1)}}
    names |= {c: f"n{n}" for n, c in enumerate("abcdef", start=1)}
    return [(names[code], int(n or 1)) for code, n in re.findall(r"(\D)(\d*)", shades)]


@given(
    st.lists(st.tuples(st.text("aé👩 \n\t\x07", max_size=5), st.sampled_from("s0 s3 n6".split())))
)
def test_runs_of_shades_cover_the_text(parts: list[tuple[str, str]]) -> None:
    spans = [Span(text, f"t {css}", "note") for text, css in parts]
    row = RowView(record(0, "x"), "", shadings=(Shading("spam", (spans, spans), None, None),))
    chunks = shaded_chunks(row)
    text = "".join(text for text, _ in chunks)
    assert "\n" not in text
    units = text.encode("utf-16-le")
    found = ""
    for css, length in runs_of(shade_runs(chunks)):
        part, units = units[: 2 * length].decode("utf-16-le"), units[2 * length :]
        found += part if css else ""
    assert not units
    assert found == "".join(text for text, css in chunks if css != "s0" and css)


def test_parts_of_the_search_index_are_below_5_mb_and_have_all_entries() -> None:
    texts = [json.dumps("".join(chr(97 + (i * j) % 26) for j in range(9000))) for i in range(900)]
    packer = IndexPacker()
    parts = [*packer.add(texts), *packer.flush()]
    assert len(parts) == 3
    assert all(len(part) < 5e6 for part in parts)
    entries = [json.loads(zlib.decompress(base64.b64decode(part))) for part in parts]
    assert [text for part in entries for text in part] == [json.loads(text) for text in texts]


@given(st.text())
def test_json_in_a_page_is_printable_ascii_without_tags(text: str) -> None:
    line = json.dumps({"text": text}, ensure_ascii=False) + "\n"
    result = script_safe_json(line, json.loads(line))
    assert json.loads(result) == {"text": text}
    assert "<" not in result
    assert result.isascii()
    assert result.isprintable()


def test_every_page_contains_its_records(many: Path) -> None:
    text = (many / "pages" / "page-0002.html").read_text(encoding="utf-8")
    lines = re.findall(r'<script type="application/json" class="record">(.*)</script>', text)
    assert [json.loads(each) for each in lines] == read_records(many)[500:]


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
    explained = record(0, " ".join("x" * len(ends))) | {"text": text, "offsets": [[0, 0], *spans]}
    groups = group_by_word(pieces(explained))[1:]
    assert ["".join(piece.text for piece in word) for word in groups] == words


@given(st.floats(-1, 1), st.floats(1e-9, 1))
def test_a_score_has_as_many_decimals_as_its_error_needs(score: float, error: float) -> None:
    digits = min(max(1 - floor(log10(error)), 4), 7)
    _, text = score_text(score, error).replace("−", "-").split("\n")
    assert text == f"{score:.{digits}f} ± {error:.{digits}f}"


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    pages = [write_run(tmp_path / name, varied()) / "index.html" for name in ("one", "two")]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_texts_ids_and_labels_are_escaped(tmp_path: Path) -> None:
    text = (write_run(tmp_path / "run", varied()) / "index.html").read_text(encoding="utf-8")
    assert html.escape(HOSTILE, quote=False) in text
    assert html.escape(HOSTILE_LABEL) in text
    for raw in (HOSTILE, HOSTILE_LABEL, "<u>y", "<i>4", "\u202e", "\x07"):
        assert raw not in text


def test_a_page_loads_nothing_from_the_network(tmp_path: Path) -> None:
    text = (write_run(tmp_path / "run", varied()) / "index.html").read_text(encoding="utf-8")
    assert not NETWORK.search(text)
    assert " style=" not in text
    assert "Content-Security-Policy" in text
    assert "default-src 'none'" in text
    assert "unsafe" not in text


@pytest.mark.parametrize(
    ("rows", "html_rows", "pages"), [(1, 5000, 0), (500, 5000, 0), (501, 5000, 2), (1200, 1001, 3)]
)
def test_more_than_500_rows_are_split_into_pages(
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


def test_html_rows_0_shows_no_rows(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", varied(), html_rows=0)
    assert 'id="row-' not in (run / "index.html").read_text(encoding="utf-8")


@given(rows=st.integers(1, 300), share=st.floats(0, 1))
def test_the_sample_is_evenly_spaced_and_has_the_requested_size(rows: int, share: float) -> None:
    limit = int(rows * share)
    selected = list(select_rows(range(rows), total=rows, limit=limit, linked=()))
    assert len(selected) == limit
    gaps = {after - before for before, after in pairwise(selected)}
    assert len(gaps) <= 2


@given(st.data(), st.integers(1, 300), st.floats(0, 1))
def test_linked_rows_are_selected_before_all_others(
    data: st.DataObject, rows: int, share: float
) -> None:
    limit = int(rows * share)
    linked = data.draw(st.lists(st.integers(0, rows - 1), unique=True))
    selected = list(select_rows(range(rows), total=rows, limit=limit, linked=linked))
    assert selected == sorted(set(selected))
    assert len(selected) == limit
    assert set(linked[:limit]) <= set(selected)


@pytest.mark.parametrize(
    ("score", "error", "text"),
    [
        (0.5, None, "50 %\n0.5000"),
        (0.21342, 0.0041, "21 % ± 0.4 %\n0.2134 ± 0.0041"),
        (0.01239123, 0.0000321, "1.2 % ± <0.1 %\n0.012391 ± 0.000032"),
        (-0.25, 0.3, "−25 % ± 30 %\n−0.2500 ± 0.3000"),
        (-0.0001, 0.0, ">−0.1 %\n−0.0001"),
    ],
)
def test_scores_are_written_as_percentages_and_with_more_digits(
    score: float, error: float | None, text: str
) -> None:
    assert score_text(score, error) == text


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
def test_counts_are_grouped_or_shortened(number: int, text: str, brief: str) -> None:
    assert grouped(number) == text
    assert short(number) == brief


@given(st.floats(0, 1))
def test_heat_maps_equal_ranges_to_steps_and_only_0_to_step_0(share: float) -> None:
    assert (heat(share) - 1) / 6 < share <= heat(share) / 6 or share == heat(share) == 0


def test_a_missing_share_is_written_as_a_dash() -> None:
    assert percent(None) == "–"


@given(st.floats(-1, 1))
def test_a_shade_gives_size_and_sign_of_a_score(score: float) -> None:
    level = int(shade(score)[1])
    assert level == len([bound for bound in BOUNDS if bound <= abs(score)])
    assert (shade(score)[0] == "n") == (score < 0 and level > 0)


def test_every_shade_is_in_the_legend_and_in_the_style_sheet() -> None:
    steps = {step.css for step in legend(signed=True)}
    assert steps == {shade(sign * bound) for bound in (0, *BOUNDS) for sign in (1, -1)}
    style = str(environment().globals["style"])
    assert all(f".{css} {{ background" in style for css in steps - {"s0"})


# Pieces of the text.


def joined_text(parts: list[Piece]) -> str:
    return "".join(piece.text for piece in parts if not piece.special)


@st.composite
def tokenized(draw: st.DrawFn) -> Record:
    """Draw the record of any text, with tokens apart, adjacent, overlapping or empty."""
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
def test_pieces_join_to_the_unchanged_text_and_have_all_scores(explained: Record) -> None:
    parts = pieces(explained)
    assert joined_text(parts) == explained["text"]
    assert sum(len(piece.tokens) for piece in parts) == len(explained["tokens"])
    assert sum(piece.score for piece in parts) == pytest.approx(sum(explained["scores"]))


def test_the_byte_tokens_of_one_emoji_are_one_piece() -> None:
    explained = record(0, "x") | {
        "text": "a 🙂!",
        "tokens": ["a", "Ġð", "Ł", "Ļ", "!"],
        "offsets": [[0, 1], [2, 3], [2, 3], [2, 3], [3, 4]],
        "special": [False] * 5,
        "scores": [0.1, 0.2, 0.3, 0.3, 0.1],
        "errors": [0.01] * 5,
    }
    assert [(piece.text, len(piece.tokens)) for piece in pieces(explained)] == [
        ("a", 1),
        (" ", 0),
        ("🙂", 3),
        ("!", 1),
    ]


def test_text_that_was_cut_off_is_marked() -> None:
    last = pieces(varied()[4])[-1]
    assert last.cut
    assert last.text == " and then was cut off"


def test_values_of_the_manifest_are_escaped_and_cut(tmp_path: Path) -> None:
    """A manifest may be of another machine: its versions are text from outside."""
    outside = "\u202e\x1b[31m<b>" + "9" * 10_000
    versions = {"saliency": outside, "torch": outside, outside: [outside]}
    hashes = {"input": outside, "model": {outside: outside}, "tokenizer": {}}
    folder = write_run(tmp_path / "run", varied(), versions=versions, hashes=hashes, device=outside)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "9" * 201 not in page
    assert page.count(r"\u202e\x1b[31m&lt;b&gt;999") == 9
