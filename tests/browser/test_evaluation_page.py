"""The page of an evaluation in Chromium: inert text, accessibility, narrow windows, labels."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.chromium import Watched
from tests.support.evaluation_pages import HOSTILE_METHOD, NAMES, write_page
from tests.support.runs import HOSTILE

pytestmark = pytest.mark.browser

OVERLAPS = """
() => [...document.querySelectorAll(".chart")].flatMap((chart) => {
  const boxes = [...chart.querySelectorAll(".label")].map((label) => label.getBoundingClientRect());
  return boxes.flatMap((one, place) => boxes.slice(place + 1).filter((other) =>
    one.left < other.right && other.left < one.right &&
    one.top + 2 < other.bottom && other.top + 2 < one.bottom));
}).length
"""
"""Counts the pairs of labels of a chart that overlap, as the browser draws them."""
OUTSIDE = """
() => [...document.querySelectorAll(".chart")].flatMap((chart) => {
  const frame = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].map((text) => text.getBoundingClientRect())
    .filter((box) => box.left < frame.left - 1 || box.right > frame.right + 1);
}).length
"""

CUT = """
() => [...document.querySelectorAll(".scroll")]
  .filter((each) => each.scrollWidth > each.clientWidth + 1).length
"""
"""Counts what is wider than the window; on paper nothing can be scrolled."""


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("evaluation") / "index.html")


def test_hostile_text_is_inert_and_nothing_else_is_requested(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    assert [url for url in watched.requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert watched.messages == []
    assert page.locator("img, main b:not(.note b)").count() == 0
    expect(page.locator("h1 bdi")).to_have_text(HOSTILE)
    method = page.locator("[aria-labelledby=figures] tbody th a").last
    expect(method).to_contain_text(HOSTILE_METHOD)
    link = method.get_attribute("href")
    assert link is not None
    assert link.startswith("methods/gradient_%3C/script")


def test_axe_finds_no_violation_and_labels_are_apart_in_any_window(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    page.locator("details").first.evaluate("each => { each.open = true; }")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(OVERLAPS) == page.evaluate(OUTSIDE) == 0
    page.set_viewport_size({"width": 720, "height": 800})
    page.emulate_media(media="print")
    assert page.evaluate(CUT) == 0


def test_each_text_is_shaded_by_every_method_and_has_one_tab_stop(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    assert page.locator("article.row").count() == 6
    row = page.locator("article.row").first
    assert row.locator(".pane").count() == len(NAMES)
    row.locator("h3 a").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tip")).to_contain_text("%")
