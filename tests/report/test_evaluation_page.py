"""The page of an evaluation: its golden file, order, errors, chosen texts, and labels of charts."""

from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saliency_cli.report.evaluation.chart_geometry import LINE, Axis, Box, place_labels, spread
from saliency_cli.report.evaluation.charts import SCATTER, curve_charts, scatter
from saliency_cli.report.evaluation.examples import agreement, disputed_examples
from saliency_cli.report.evaluation.figures import figure_table, ranked_methods
from saliency_cli.report.evaluation.planted import planted_shortcuts
from saliency_cli.report.number_format import figure_text
from tests.support.evaluation_pages import (
    FLOOR,
    HOSTILE_METHOD,
    NAMES,
    SHARES,
    SIGNED,
    UNSIGNED,
    records,
    result,
    write_page,
)
from tests.support.paths import GOLDEN
from tests.support.runs import record

COORDINATE = st.floats(SCATTER.left, SCATTER.right)


def test_the_page_equals_the_golden_file(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page = write_page(tmp_path / "index.html")
    golden = GOLDEN / "evaluation.html"
    if request.config.getoption("--update-golden"):
        golden.write_bytes(page.read_bytes())
    assert page.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


def test_methods_are_ordered_by_comprehensiveness_those_without_it_last() -> None:
    methods = ranked_methods(result())
    assert [each.name for each in methods] == [SIGNED, UNSIGNED, FLOOR, HOSTILE_METHOD]
    assert [each.number for each in methods] == [1, 2, 3, 4]
    drawn = scatter(result(), methods)
    assert drawn is not None
    assert [each.method.name for each in drawn.points] == [SIGNED, UNSIGNED, FLOOR]


def test_each_figure_has_its_error_and_each_dash_its_reason() -> None:
    table = figure_table(result(), ranked_methods(result()))
    cells = [cell for column in table.columns for cell in column.cells]
    assert len(cells) == 4 * len(NAMES)
    for cell in cells:
        if cell.bar is None:
            assert cell.text == "–"
            assert cell.note in table.reasons
        else:
            assert " ± " in cell.text
            assert 0 <= cell.bar.low <= cell.bar.high <= 100
            ends = (cell.bar.start, cell.bar.start + cell.bar.width)
            assert cell.bar.zero in [pytest.approx(end, abs=0.02) for end in ends]
    assert len(table.reasons) == 2


@pytest.mark.parametrize("gone", ["curves", "agreement", "verdict"])
def test_what_was_not_measured_is_left_out(tmp_path: Path, gone: str) -> None:
    empty: object = [] if gone == "verdict" else {}
    page = write_page(tmp_path / "index.html", **{gone: empty}).read_text(encoding="utf-8")
    words = {"curves": "Erasure curves", "agreement": 'class="matrix', "verdict": f"{SIGNED} leads"}
    assert [name for name, word in words.items() if word not in page] == [gone]


def test_an_evaluation_of_one_method_has_a_page(tmp_path: Path) -> None:
    one = {SIGNED: result()["methods"][SIGNED]}
    page = write_page(tmp_path / "index.html", methods=one, agreement={}).read_text()
    assert "0.70 ± 0.02" in page
    assert "disagree most" not in page


@pytest.mark.parametrize(
    ("mean", "error", "text"),
    [
        (0.7, 0.02, "0.70 ± 0.02"),
        (-0.0001, 0.05, "0.00 ± 0.05"),
        (-0.31, 0.004, "−0.310 ± 0.004"),
        (0.9958, 0.0009, "0.996 ± 0.001"),
        (0.5, 0.0004, "0.500 ± <0.001"),
        (1.0, 0.0, "1.00 ± 0.00"),
    ],
)
def test_a_figure_has_as_many_digits_as_its_error(mean: float, error: float, text: str) -> None:
    assert figure_text(mean, error) == text


def test_texts_with_the_least_agreement_are_shown_without_the_floor() -> None:
    examples = disputed_examples(ranked_methods(result()), records())
    ordinals = [each.row.record["ordinal"] for each in examples]
    assert set(ordinals[:2]) == {3, 4}
    assert examples[0].agreement == pytest.approx(-1 / 3)  # one pair agrees, two are reversed
    assert [each.agreement for each in examples[2:]] == [1, 1, 1, 1]  # else `random` would count
    assert 8 not in ordinals  # too short
    assert [method.name for method, _ in examples[0].shaded] == [
        SIGNED,
        UNSIGNED,
        FLOOR,
        HOSTILE_METHOD,
    ]


def test_planted_shortcuts_are_told_in_texts() -> None:
    shortcuts = planted_shortcuts(result(), ranked_methods(result()))
    assert [each.kind for each in shortcuts] == ["token", "order"]  # `pair` was not learned
    told = [(each.method.name, each.found, each.explained) for each in shortcuts[0].findings]
    assert told == [(SIGNED, 48, 50), (UNSIGNED, 38, 50), (FLOOR, 18, 50), (HOSTILE_METHOD, 28, 50)]


def test_a_method_that_puts_all_tokens_level_agrees_with_none() -> None:
    one = record(0, "free call now")
    assert agreement([one, one, {**one, "scores": [0.25] * 4}]) == pytest.approx(1 / 3, abs=1e-5)


@given(st.lists(st.tuples(COORDINATE, st.floats(SCATTER.top, SCATTER.bottom)), max_size=16))
def test_labels_of_points_never_overlap(points: list[tuple[float, float]]) -> None:
    texts = [f"{place} integrated-gradients" for place in range(len(points))]
    obstacles = [Box(x - 7, y - 7, x + 7, y + 7) for x, y in points]
    labels = place_labels(points, texts, obstacles, SCATTER)
    assert not [pair for pair in combinations(labels, 2) if pair[0].box.meets(pair[1].box)]
    if len(points) == 1:
        assert not labels[0].box.meets(obstacles[0])


@given(st.lists(st.floats(0, 200), max_size=12))
def test_heights_of_labels_are_a_line_apart_and_in_order(wanted: list[float]) -> None:
    heights = spread(wanted, top=0, bottom=200)
    order = sorted(range(len(wanted)), key=lambda place: (wanted[place], place))
    gaps = [heights[b] - heights[a] for a, b in pairwise(order)]
    assert all(gap >= LINE - 0.02 for gap in gaps)
    assert all(-0.02 <= height <= 200.02 for height in heights)


def test_curves_have_a_dot_and_a_text_for_each_share() -> None:
    charts = [*curve_charts(result(), ranked_methods(result()), SHARES)]
    assert [(each.metric, each.removal) for each in charts] == [
        (metric, removal)
        for metric in ("comprehensiveness", "sufficiency")
        for removal in ("masked", "deleted")
    ]
    for line in charts[0].lines:
        assert len(line.dots) == len(line.values) == len(SHARES)
        assert all(dot.high < dot.y < dot.low for dot in line.dots)  # y goes downwards
    best = next(line for line in charts[0].lines if line.css == "best")
    assert best.dots[-1].y == min(line.dots[-1].y for line in charts[0].lines)


def test_ticks_are_round_values_inside_the_axis() -> None:
    texts = [tick.text for tick in Axis(-0.04, 1, first=300, last=0).ticks()]
    assert texts == ["0", "0.5", "1"]
    axis = Axis(0.7, 90, first=0, last=100, logarithmic=True)
    assert [tick.text for tick in axis.ticks()] == ["1", "3", "10", "30"]
    assert axis.at(0.7) == 0
    assert axis.at(90) == 100
