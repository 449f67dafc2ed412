"""The page of a site in Chromium: inert names, accessibility, links that lead somewhere."""

from pathlib import Path
from urllib.parse import unquote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.chromium import Watched
from tests.support.sites import HOSTILE_FOLDER, HOSTILE_MODEL, site, write_runs

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    result = site(write_runs(folder / "runs"), "--out", folder / "site")
    assert result.exit_code == 0, result.output
    return folder / "site" / "index.html"


def test_hostile_names_are_inert_and_nothing_else_is_requested(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    assert [url for url in watched.requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert watched.messages == []
    assert page.locator("img, main b, main script").count() == 0
    expect(page.locator("tbody .from", has_text=HOSTILE_MODEL)).to_have_count(1)
    page.locator("tbody th a", has_text=HOSTILE_FOLDER).click()
    expect(page.locator("h1")).to_contain_text(HOSTILE_MODEL)
    assert watched.messages == []


def test_axe_finds_no_violation_and_nothing_is_wider_than_the_window(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    for width in (1400, 390):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.set_viewport_size({"width": 720, "height": 800})
    page.emulate_media(media="print")
    cut = "all => all.filter((each) => each.scrollWidth > each.clientWidth + 1).length"
    assert page.locator(".scroll").evaluate_all(cut) == 0  # on paper nothing can be scrolled
    adjust = "all => all.map((each) => getComputedStyle(each).printColorAdjust)"
    assert {*page.locator(".over-time, .swatch").evaluate_all(adjust)} == {"exact"}


def test_every_link_leads_to_a_file_and_every_mark_is_a_link(
    watched: Watched, page_file: Path
) -> None:
    page = watched.open(page_file)
    links = page.locator("main a")
    targets = [unquote(str(link.get_attribute("href"))) for link in links.all()]
    assert all((page_file.parent / target).is_file() for target in targets)
    assert page.locator(".over-time a").count() == 3 + 4 + 4  # the hostile run has no gold labels
    for mark in page.locator(".over-time a").all():
        assert mark.get_attribute("aria-label") == mark.locator("title").text_content()
    expect(page.get_by_role("link", name="build-10: 95.0 %, 95 % interval 83.5 to")).to_be_visible()
    expect(page.get_by_role("link", name="build-10: 2 failed, 2 warned, 1 passed")).to_be_visible()
    page.get_by_role("link", name="what changed").click()
    expect(page.locator("h1")).to_contain_text("What changed from")
    assert watched.messages == []
