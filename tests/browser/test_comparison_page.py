"""The page of a comparison in Chromium: inert text, accessibility, search, narrow windows."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.chromium import ONE_SCHEME, Watched
from tests.support.comparisons import write_page
from tests.support.runs import HOSTILE

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("comparison")) / "index.html"


@ONE_SCHEME
def test_hostile_text_is_inert_and_nothing_else_is_requested(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    assert [url for url in watched.requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert watched.messages == []
    assert page.locator("img, main i").count() == 0
    expect(page.locator("#row-2 .side").first).to_contain_text(HOSTILE)


def test_axe_finds_no_violation_and_nothing_is_wider_than_the_window(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true; }")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.emulate_media(media="print")
    assert page.locator("#bar").is_hidden()
    expect(page.locator(".side").first).to_be_visible()


@ONE_SCHEME
def test_rows_are_filtered_sorted_and_linked_as_in_a_report(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    rows = page.locator("article.row:visible")
    expect(rows).to_have_count(5)
    assert [each.get_attribute("id") for each in rows.all()][:2] == ["row-0", "row-3"]
    page.get_by_role("button", name="broken").click()
    expect(rows).to_have_count(1)
    assert page.evaluate("location.hash") == "#q=broken"
    for query, ordinals in {
        "before:ham label:spam": [2, 1],
        "shift < -0.5": [0, 2, 1],
        "distance>20%": [4],
        "!moved flipped": [0, 2, 1],
        "free call": [0],
        "broken fixed": [0, 1],
    }.items():
        page.locator("#q").fill(query)
        expect(rows).to_have_count(len(ordinals))
        assert [each.get_attribute("id") for each in rows.all()] == [f"row-{n}" for n in ordinals]
    page.locator("#q").fill("")
    page.locator("#sort").select_option("-distance")
    expect(rows.first).to_have_id("row-4")
    page.goto("about:blank")
    again = watched.open(page_file, "#q=fixed")
    expect(again.locator("article.row:visible")).to_have_count(1)


@ONE_SCHEME
def test_words_that_moved_are_outlined_and_say_both_shares(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    moved = page.locator("#row-4 .side").last.locator(".moved")
    expect(moved.first).to_have_css("outline-style", "solid")
    moved.first.hover()
    expect(page.locator("#tip")).to_contain_text("before")
    page.locator("#row-4 h3 a").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tip")).to_contain_text("%")
